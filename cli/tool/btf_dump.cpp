#include <bpf/bpf.h>
#include <sys/stat.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>

#include "bpf/loader/object_btf.hpp"
#include "cli/tool/btf_raw.hpp"
#include "cli/tool/btf_values.hpp"
#include "cli/tool/objects.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

// The ids of programs and maps by the id of the BTF they came with.
struct Users {
  std::map<uint32_t, std::vector<uint32_t>> programs;
  std::map<uint32_t, std::vector<uint32_t>> maps;
};

Result<Users> find_users() {
  Users users;
  auto status = for_each_object(Kind::prog, [&](int fd) -> Status {
    const auto info = prog_info(fd);
    if (!info) return fail(info.error());
    if (info->btf_id != 0) users.programs[info->btf_id].push_back(info->id);
    return {};
  });
  if (!status) return fail(status.error());
  status = for_each_object(Kind::map, [&](int fd) -> Status {
    const auto info = map_info(fd);
    if (!info) return fail(info.error());
    if (info->btf_id != 0) users.maps[info->btf_id].push_back(info->id);
    return {};
  });
  if (!status) return fail(status.error());
  return users;
}

void print_ids(const char* name, const std::vector<uint32_t>& ids) {
  for (size_t i = 0; i < ids.size(); i++) std::printf("%s%u", i == 0 ? name : ",", ids[i]);
}

void write_ids(JsonWriter& out, const char* name, const std::vector<uint32_t>& ids) {
  out.key(name);
  out.begin_array();
  for (const uint32_t id : ids) out.number(id);
  out.end_array();
}

Status show_one(Context& context, int fd, Users& users) {
  bpf_btf_info info;
  char name[64] = "";
  std::memset(&info, 0, sizeof info);
  info.name = reinterpret_cast<uintptr_t>(name);
  info.name_len = sizeof name;
  uint32_t size = sizeof info;
  if (::bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
    return fail(errno_error(errno, "btf information"));
  const bool kernel = info.kernel_btf != 0;
  const auto& programs = users.programs[info.id];
  const auto& maps = users.maps[info.id];
  if (context.plain()) {
    const std::string shown = name[0] == 0 ? "<anon>"
                              : kernel     ? std::string("[") + name + "]"
                                           : name;
    std::printf("%u: name %s  size %uB", info.id, shown.c_str(), info.btf_size);
    print_ids("  prog_ids ", programs);
    print_ids("  map_ids ", maps);
    std::printf("\n");
    return {};
  }
  JsonWriter& out = context.json;
  out.begin_object();
  out.member("id", info.id);
  out.member("size", info.btf_size);
  write_ids(out, "prog_ids", programs);
  write_ids(out, "map_ids", maps);
  out.member("kernel", kernel);
  if (name[0] != 0) out.member("name", name);
  out.end_object();
  return {};
}

struct Source {
  Btf base;  // what `btf` builds upon; null: nothing
  Btf btf;
  std::vector<uint32_t> roots;  // the types wanted; empty: all
};

Result<Source> take_map_source(Words& words) {
  const auto fd = take_object(words, Kind::map);
  if (!fd) return fail(fd.error());
  const auto info = map_info(fd->get());
  if (!info) return fail(info.error());
  if (info->btf_id == 0) return fail(ENOENT, std::string("map ") + info->name + ": it has no BTF");
  auto btf = load_btf(info->btf_id);
  if (!btf) return fail(std::move(btf.error()));
  Source source{nullptr, std::move(*btf), {}};
  const bool key = words.accept("key");
  const bool value = !key && words.accept("value");
  if (!key && !value && words.accept("all")) return source;
  if (!key && !value) (void)words.accept("kv");
  if (!value && info->btf_key_type_id != 0) source.roots.push_back(info->btf_key_type_id);
  if (!key && info->btf_value_type_id != 0) source.roots.push_back(info->btf_value_type_id);
  if (source.roots.empty())
    return fail(ENOENT, std::string("map ") + info->name + ": its BTF has no such type");
  return source;
}

// What libbpf's errno means for a file.
Error file_error(const std::string& path, int code) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return errno_error(errno, "BTF of " + path);
  if (S_ISDIR(status.st_mode)) return errno_error(EISDIR, "BTF of " + path);
  if (code == ENOENT || code == ENODATA) {
    return {ENOENT, "BTF of " + path + ": it has no .BTF section (compile with -g)"};
  }
  if (code == EACCES || code == EPERM) return errno_error(code, "BTF of " + path);
  return {EINVAL, "BTF of " + path + ": it is neither BTF nor an ELF file with BTF"};
}

Status check(const btf& types, const std::string& path) {
  uint32_t size = 0;
  const auto* bytes = static_cast<const uint8_t*>(::btf__raw_data(&types, &size));
  if (bytes == nullptr) return fail(file_error(path, errno));
  auto status = bpf::check_btf_references({bytes, size});
  if (!status) return fail(std::move(status.error()).in("BTF of " + path));
  return {};
}

Result<Source> take_file_source(const std::string& base_path, Words& words) {
  const auto path = words.take("file");
  if (!path) return fail(path.error());
  Btf base;
  if (!base_path.empty()) {
    base.reset(::btf__parse(base_path.c_str(), nullptr));
    if (base == nullptr) return fail(file_error(base_path, errno));
    if (auto good = check(*base, base_path); !good) return fail(good.error());
  }
  Btf btf(base != nullptr ? ::btf__parse_split(path->c_str(), base.get())
                          : ::btf__parse(path->c_str(), nullptr));
  if (btf == nullptr) return fail(file_error(*path, errno));
  if (base == nullptr) {
    if (auto good = check(*btf, *path); !good) return fail(good.error());
  }
  return Source{std::move(base), std::move(btf), {}};
}

Result<Source> take_source(Context& context, Words& words) {
  if (words.accept("map")) return take_map_source(words);
  if (words.accept("file")) return take_file_source(context.options.base_btf, words);
  uint32_t id = 0;
  if (words.accept("prog")) {
    const auto fd = take_object(words, Kind::prog);
    if (!fd) return fail(fd.error());
    const auto info = prog_info(fd->get());
    if (!info) return fail(info.error());
    if (info->btf_id == 0)
      return fail(ENOENT, std::string("prog ") + info->name + ": it has no BTF");
    id = info->btf_id;
  } else if (words.accept("id")) {
    const auto number = words.take_number("id");
    if (!number) return fail(number.error());
    id = static_cast<uint32_t>(*number);
  } else {
    return usage("expected id, prog, map or file");
  }
  auto btf = load_btf(id);
  if (!btf) return fail(std::move(btf.error()));
  return Source{nullptr, std::move(*btf), {}};
}

__attribute__((format(printf, 2, 0))) void print_c(void*, const char* format, va_list arguments) {
  std::vprintf(format, arguments);
}

Status dump_c(const Source& source) {
  std::unique_ptr<::btf_dump, decltype(&::btf_dump__free)> dump(
      ::btf_dump__new(source.btf.get(), print_c, nullptr, nullptr), ::btf_dump__free);
  if (dump == nullptr) return fail(errno_error(errno, "dump as C"));
  std::printf(
      "#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\n\n#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n"
      "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = "
      "record)\n#endif\n\n");
  std::vector<uint32_t> types = source.roots;
  if (types.empty()) {
    for (uint32_t id = 1; id < ::btf__type_cnt(source.btf.get()); id++) types.push_back(id);
  }
  for (const uint32_t id : types) {
    if (const int result = ::btf_dump__dump_type(dump.get(), id); result != 0)
      return fail(errno_error(-result, "dump as C"));
  }
  std::printf(
      "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n#pragma clang attribute pop\n#endif\n\n#endif /* "
      "__VMLINUX_H__ */\n");
  return {};
}

}  // namespace

Status btf_show(Context& context, Words& words) {
  auto users = find_users();
  if (!users) return fail(std::move(users.error()));
  return show_objects(context, words, Kind::btf,
                      [&](int fd) { return show_one(context, fd, *users); });
}

Status btf_dump(Context& context, Words& words) {
  const auto source = take_source(context, words);
  if (!source) return fail(source.error());
  bool as_c = false;
  if (words.accept("format")) {
    as_c = words.next_is("c");
    if (!as_c && !words.next_is("raw")) return usage("format: expected raw or c");
    (void)words.take("format");
  }
  if (auto status = words.done(); !status) return status;
  if (as_c && !context.plain()) return usage("C has no JSON form: leave out -j");
  if (as_c) return dump_c(*source);
  JsonWriter* out = context.plain() ? nullptr : &context.json;
  if (out != nullptr) {
    out->begin_object();
    out->key("types");
    out->begin_array();
  }
  std::vector<uint32_t> types = source->roots;
  if (types.empty()) {
    for (uint32_t id = 1; id < ::btf__type_cnt(source->btf.get()); id++) types.push_back(id);
  }
  for (const uint32_t id : types) write_raw_type(out, *source->btf, id);
  if (out != nullptr) {
    out->end_array();
    out->end_object();
  }
  return {};
}

}  // namespace sluice::cli
