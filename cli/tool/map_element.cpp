#include <bpf/bpf.h>

#include <cstring>

#include "cli/tool/elements.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

Error map_error(const OpenMap& map, const char* what, int code) {
  return errno_error(code, what).in(map.title());
}

Result<Bytes> take_key(const OpenMap& map, Words& words) {
  if (map.keyless()) return usage(with_article(map_type_name(map.info.type)) + " has no keys");
  if (auto status = words.expect("key"); !status) return fail(status.error());
  return words.take_bytes("key", map.info.key_size);
}

// A map or a program that a map shall hold: its descriptor is the value.
Result<Bytes> take_reference(const OpenMap& map, Words& words, std::vector<UniqueFd>* kept) {
  const Kind kind = map.holds_programs() ? Kind::prog : Kind::map;
  if (!next_names_object(words, kind)) {
    return usage("the value of " + with_article(map_type_name(map.info.type)) + " is a " +
                 kind_name(kind) + ": id, pinned or name");
  }
  auto fd = take_object(words, kind);
  if (!fd) return fail(std::move(fd.error()));
  kept->push_back(std::move(*fd));
  const auto number = static_cast<uint32_t>(kept->back().get());
  Bytes value(sizeof number);
  std::memcpy(value.data(), &number, sizeof number);
  return value;
}

// The value as bpf(2) takes it; one given for a per-CPU map is every CPU's.
Result<Bytes> take_value(const OpenMap& map, Words& words, std::vector<UniqueFd>* kept) {
  if (auto status = words.expect("value"); !status) return fail(status.error());
  if (map.holds_maps() || map.holds_programs()) return take_reference(map, words, kept);
  const auto one = words.take_bytes("value", map.info.value_size);
  if (!one) return fail(one.error());
  Bytes all(map.value_bytes());
  for (uint32_t cpu = 0; cpu < map.slots; cpu++)
    std::memcpy(all.data() + size_t{cpu} * map.slot_size(), one->data(), one->size());
  return all;
}

Result<uint64_t> take_update_flags(Words& words) {
  struct Flag {
    const char* name;
    uint64_t value;
  };
  constexpr Flag kFlags[] = {{"any", BPF_ANY}, {"exist", BPF_EXIST}, {"noexist", BPF_NOEXIST}};
  for (const Flag& flag : kFlags) {
    if (words.accept(flag.name)) return flag.value;
  }
  return BPF_ANY;
}

Status print_value(Context& context, const OpenMap& map, const Bytes& key, const Bytes& value) {
  ElementPrinter(context, map).print(key, value);
  return {};
}

// What an empty queue and an absent key have in common: nothing to show, and exit status 1.
tl::unexpected<Error> nothing(Context& context, const std::string& text) {
  if (!context.plain()) {
    context.json.null();
  } else {
    std::printf("%s\n", text.c_str());
  }
  return fail(ENOENT, "");
}

}  // namespace

Status map_update(Context& context, Words& words) {
  const auto map = take_map(words);
  if (!map) return fail(map.error());
  Bytes key;
  if (!map->keyless()) {
    auto taken = take_key(*map, words);
    if (!taken) return fail(std::move(taken.error()));
    key = std::move(*taken);
  }
  std::vector<UniqueFd> kept;
  const auto value = take_value(*map, words, &kept);
  if (!value) return fail(value.error());
  const auto flags = take_update_flags(words);
  if (!flags) return fail(flags.error());
  if (auto status = words.done(); !status) return status;
  if (::bpf_map_update_elem(map->fd.get(), key.empty() ? nullptr : key.data(), value->data(),
                            *flags) != 0) {
    const int code = errno;
    Error error = map_error(*map, "update", code);
    if (code == E2BIG)
      error.text += ": it is full, or the key is beyond its " +
                    std::to_string(map->info.max_entries) + " entries";
    if (code == EPERM) error.text += ": it is frozen or the pin is read-only";
    return fail(std::move(error));
  }
  return {};
}

Status map_lookup(Context& context, Words& words) {
  const auto map = take_map(words);
  if (!map) return fail(map.error());
  // A bloom filter's question is a value.
  if (map->info.type == BPF_MAP_TYPE_BLOOM_FILTER) {
    if (auto status = words.expect("value"); !status) return status;
    auto value = words.take_bytes("value", map->info.value_size);
    if (!value) return fail(value.error());
    if (auto status = words.done(); !status) return status;
    if (::bpf_map_lookup_elem(map->fd.get(), nullptr, value->data()) == 0)
      return print_value(context, *map, {}, *value);
    if (errno == ENOENT) return nothing(context, "Not found");
    return fail(map_error(*map, "look up", errno));
  }
  const auto key = take_key(*map, words);
  if (!key) return fail(key.error());
  if (auto status = words.done(); !status) return status;
  Bytes value(map->value_bytes());
  if (::bpf_map_lookup_elem(map->fd.get(), key->data(), value.data()) == 0)
    return print_value(context, *map, *key, value);
  if (errno == ENOENT) return nothing(context, "key:\n" + hex_text(*key) + "\n\nNot found");
  return fail(map_error(*map, "look up", errno));
}

Status map_getnext(Context& context, Words& words) {
  const auto map = take_map(words);
  if (!map) return fail(map.error());
  Bytes key;
  if (!words.empty()) {
    auto taken = take_key(*map, words);
    if (!taken) return fail(std::move(taken.error()));
    key = std::move(*taken);
  }
  if (auto status = words.done(); !status) return status;
  if (map->keyless()) return usage(with_article(map_type_name(map->info.type)) + " has no keys");
  Bytes next(map->info.key_size);
  if (::bpf_map_get_next_key(map->fd.get(), key.empty() ? nullptr : key.data(), next.data()) != 0) {
    return fail(map_error(*map, "next key", errno));
  }
  if (context.plain()) {
    if (key.empty()) {
      std::printf("key: None\n");
    } else {
      std::printf("key:\n%s\n", hex_text(key).c_str());
    }
    std::printf("next key:\n%s\n", hex_text(next).c_str());
    return {};
  }
  context.json.begin_object();
  context.json.key("key");
  if (key.empty()) {
    context.json.null();
  } else {
    write_hex(context.json, key);
  }
  context.json.key("next_key");
  write_hex(context.json, next);
  context.json.end_object();
  return {};
}

Status map_delete(Context&, Words& words) {
  const auto map = take_map(words);
  if (!map) return fail(map.error());
  const auto key = take_key(*map, words);
  if (!key) return fail(key.error());
  if (auto status = words.done(); !status) return status;
  if (::bpf_map_delete_elem(map->fd.get(), key->data()) != 0)
    return fail(map_error(*map, "delete", errno));
  return {};
}

namespace {

// peek, pop and dequeue.
Status take_next(Context& context, Words& words, bool remove) {
  const auto map = take_map(words);
  if (!map) return fail(map.error());
  if (auto status = words.done(); !status) return status;
  if (map->info.type != BPF_MAP_TYPE_QUEUE && map->info.type != BPF_MAP_TYPE_STACK)
    return usage(with_article(map_type_name(map->info.type)) +
                 " has no next element; a queue and a stack have");
  Bytes value(map->value_bytes());
  const int result = remove ? ::bpf_map_lookup_and_delete_elem(map->fd.get(), nullptr, value.data())
                            : ::bpf_map_lookup_elem(map->fd.get(), nullptr, value.data());
  if (result != 0 && errno == ENOENT) return nothing(context, "Error: empty map");
  if (result != 0) return fail(map_error(*map, remove ? "pop" : "peek", errno));
  // Queues have no types in the kernel's tools either: the bytes are shown.
  if (context.plain()) {
    const bool below = value.size() > 16;
    std::printf("value:%s%s\n", below ? "\n" : " ", hex_text(value).c_str());
    return {};
  }
  context.json.begin_object();
  context.json.key("key");
  context.json.begin_array();
  context.json.end_array();
  context.json.key("value");
  write_hex(context.json, value);
  context.json.end_object();
  return {};
}

}  // namespace

Status map_peek(Context& context, Words& words) { return take_next(context, words, false); }
Status map_pop(Context& context, Words& words) { return take_next(context, words, true); }

Status map_freeze(Context&, Words& words) {
  const auto map = take_map(words);
  if (!map) return fail(map.error());
  if (auto status = words.done(); !status) return status;
  if (::bpf_map_freeze(map->fd.get()) == 0) return {};
  const int code = errno;
  Error error = map_error(*map, "freeze", code);
  if (code == EBUSY) error.text += ": it is frozen, or somebody has it mapped for writing";
  return fail(std::move(error));
}

}  // namespace sluice::cli
