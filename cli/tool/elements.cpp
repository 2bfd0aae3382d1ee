#include "cli/tool/elements.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstring>

namespace sluice::cli {
namespace {

constexpr uint32_t kBatch = 4096;  // elements a call

Error map_error(const OpenMap& map, const char* what, int code) {
  return errno_error(code, what).in(map.title());
}

// Batches. *handled false: the map has none, and nothing was given to `each`.
Status batch_elements(const OpenMap& map, const std::function<void(const Element&)>& each,
                      bool* handled) {
  uint32_t count = std::clamp<uint32_t>(map.info.max_entries, 1, kBatch);
  Bytes keys(size_t{count} * map.info.key_size);
  Bytes values(size_t{count} * map.value_bytes());
  Bytes token(std::max<size_t>(map.info.key_size, sizeof(uint64_t)));
  Bytes key(map.info.key_size);
  Bytes value(map.value_bytes());
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  *handled = false;
  for (bool first = true;;) {
    uint32_t got = count;
    const int result =
        ::bpf_map_lookup_batch(map.fd.get(), first ? nullptr : token.data(), token.data(),
                               keys.data(), values.data(), &got, &options);
    const int code = result == 0 ? 0 : errno;
    if (code == ENOSPC && count < map.info.max_entries) {  // a bucket holds more than fits
      count = std::min(count * 2, map.info.max_entries);
      keys.resize(size_t{count} * map.info.key_size);
      values.resize(size_t{count} * map.value_bytes());
      continue;
    }
    if (code != 0 && code != ENOENT) {
      if (first) return {};
      return fail(map_error(map, "look up a batch", code));
    }
    *handled = true;
    for (uint32_t i = 0; i < std::min(got, count); i++) {
      std::memcpy(key.data(), keys.data() + size_t{i} * key.size(), key.size());
      std::memcpy(value.data(), values.data() + size_t{i} * value.size(), value.size());
      each({key, value});
    }
    if (code == ENOENT) return {};
    first = false;
  }
}

}  // namespace

bool OpenMap::per_cpu() const {
  switch (info.type) {
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH: return true;
    default: return false;
  }
}

bool OpenMap::holds_maps() const {
  return info.type == BPF_MAP_TYPE_ARRAY_OF_MAPS || info.type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

std::string OpenMap::title() const {
  return info.name[0] != 0 ? std::string("map ") + info.name : "map id " + std::to_string(info.id);
}

Result<OpenMap> open_map(UniqueFd fd) {
  OpenMap map{std::move(fd)};
  auto info = map_info(map.fd.get());
  if (!info) return fail(std::move(info.error()));
  map.info = *info;
  if (map.per_cpu()) {
    const int cpus = ::libbpf_num_possible_cpus();
    if (cpus <= 0) return fail(errno_error(-cpus, "count the possible CPUs"));
    map.slots = static_cast<uint32_t>(cpus);
  }
  return map;
}

Result<OpenMap> take_map(Words& words) {
  auto fd = take_object(words, Kind::map);
  if (!fd) return fail(std::move(fd.error()));
  return open_map(std::move(*fd));
}

Status for_each_element(const OpenMap& map, const std::function<void(const Element&)>& each) {
  if (map.keyless()) {
    const bool queue = map.info.type == BPF_MAP_TYPE_QUEUE || map.info.type == BPF_MAP_TYPE_STACK;
    return fail(EINVAL, map.title() + ": " + with_article(map_type_name(map.info.type)) +
                            " has no keys to list" +
                            (queue ? "; peek shows its next element" : ""));
  }
  bool handled = false;
  if (auto status = batch_elements(map, each, &handled); !status || handled) return status;
  Bytes key(map.info.key_size);
  Bytes next(map.info.key_size);
  Bytes value(map.value_bytes());
  for (const void* previous = nullptr;
       ::bpf_map_get_next_key(map.fd.get(), previous, next.data()) == 0; previous = key.data()) {
    key = next;
    const int code = ::bpf_map_lookup_elem(map.fd.get(), key.data(), value.data()) == 0 ? 0 : errno;
    if (code != ENOENT) each({key, value, code});  // gone meanwhile, or an empty slot
  }
  if (errno != ENOENT) return fail(map_error(map, "next key", errno));
  return {};
}

ElementPrinter::ElementPrinter(Context& context, const OpenMap& map)
    : context_(context), map_(map), decoded_(stdout, true) {
  // Types are a convenience: without them the bytes are shown.
  if (map.info.btf_id == 0 || map.info.btf_value_type_id == 0) return;
  if (auto btf = load_btf(map.info.btf_id)) btf_ = std::move(*btf);
}

void ElementPrinter::begin() {
  if (!context_.plain()) {
    context_.json.begin_array();
  } else if (decodes()) {
    decoded_.begin_array();
  }
}

void ElementPrinter::end() {
  if (!context_.plain()) {
    context_.json.end_array();
  } else if (decodes()) {
    decoded_.end_array();
  } else {
    std::printf("Found %zu element%s\n", printed_, printed_ == 1 ? "" : "s");
  }
}

std::span<const uint8_t> ElementPrinter::slot(const Bytes& value, uint32_t cpu) const {
  return std::span(value).subspan(size_t{cpu} * map_.slot_size(), map_.info.value_size);
}

void ElementPrinter::write_values(
    JsonWriter& out, const Bytes& value,
    const std::function<void(std::span<const uint8_t>)>& write) const {
  if (!map_.per_cpu()) {
    out.key("value");
    return write(value);
  }
  out.key("values");
  out.begin_array();
  for (uint32_t cpu = 0; cpu < map_.slots; cpu++) {
    out.begin_object();
    out.member("cpu", cpu);
    out.key("value");
    write(slot(value, cpu));
    out.end_object();
  }
  out.end_array();
}

void ElementPrinter::print_formatted(JsonWriter& out, const Bytes& key, const Bytes& value,
                                     bool strict) const {
  ValueWriter values(*btf_, out, strict);
  out.begin_object();
  if (map_.info.btf_key_type_id != 0) {
    out.key("key");
    values.write(map_.info.btf_key_type_id, key);
  }
  write_values(out, value, [&](std::span<const uint8_t> bytes) {
    values.write(map_.info.btf_value_type_id, bytes);
  });
  out.end_object();
}

void ElementPrinter::print_json(const Bytes& key, const Bytes& value) {
  JsonWriter& out = context_.json;
  out.begin_object();
  out.key("key");
  write_hex(out, key);
  write_values(out, value, [&](std::span<const uint8_t> bytes) { write_hex(out, bytes); });
  if (decodes()) {
    out.key("formatted");
    print_formatted(out, key, value, true);
  }
  out.end_object();
}

void ElementPrinter::print_plain(const Bytes& key, const Bytes& value) const {
  if (map_.per_cpu()) {
    std::printf("key:\n%s\n", hex_text(key).c_str());
    for (uint32_t cpu = 0; cpu < map_.slots; cpu++) {
      std::printf("value (CPU %02u): %s\n", cpu, hex_text(slot(value, cpu)).c_str());
    }
    return;
  }
  // Short elements stand on one line, long ones below their name.
  const bool below = key.size() > 16 || value.size() > 16;
  const char* gap = below ? "\n" : " ";
  if (!key.empty()) std::printf("key:%s%s", gap, hex_text(key).c_str());
  if (!key.empty() && !value.empty())
    std::fputs(!below && key.size() + value.size() <= 24 ? "  " : "\n", stdout);
  if (!value.empty()) std::printf("value:%s%s", gap, hex_text(value).c_str());
  std::fputc('\n', stdout);
}

void ElementPrinter::print(const Bytes& key, const Bytes& value) {
  printed_++;
  if (!context_.plain()) {
    print_json(key, value);
  } else if (decodes()) {
    print_formatted(decoded_, key, value, false);
  } else {
    print_plain(key, value);
  }
}

void ElementPrinter::print_failure(const Bytes& key, int code) {
  const std::string reason = std::strerror(code);
  if (context_.plain() && !decodes()) {
    std::printf("key:\n%s\nvalue:\n%s\n", hex_text(key).c_str(), reason.c_str());
    return;
  }
  JsonWriter& out = context_.plain() ? decoded_ : context_.json;
  out.begin_object();
  out.key("key");
  write_hex(out, key);
  out.key("value");
  out.begin_object();
  out.member("error", reason);
  out.end_object();
  out.end_object();
}

std::string hex_text(std::span<const uint8_t> bytes) {
  std::string text;
  char digits[4];
  for (size_t i = 0; i < bytes.size(); i++) {
    if (i > 0) text += i % 16 == 0 ? "\n" : i % 8 == 0 ? "  " : " ";
    std::snprintf(digits, sizeof digits, "%02x", bytes[i]);
    text += digits;
  }
  return text;
}

void write_hex(JsonWriter& out, std::span<const uint8_t> bytes) {
  out.begin_array();
  char digits[8];
  for (const uint8_t byte : bytes) {
    std::snprintf(digits, sizeof digits, "0x%02x", byte);
    out.string(digits);
  }
  out.end_array();
}

}  // namespace sluice::cli
