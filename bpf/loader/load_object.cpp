#include <bpf/libbpf.h>

#include <algorithm>
#include <string_view>

#include "base/unique_fd.hpp"
#include "bpf/loader/libbpf_session.hpp"
#include "bpf/loader/loader.hpp"
#include "bpf/loader/object_file.hpp"
#include "bpf/loader/refusal.hpp"
#include "bpf/progs/program_type.hpp"

namespace sluice::bpf {
namespace {

struct CloseObject {
  void operator()(bpf_object* object) const { ::bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, CloseObject>;

// What a program's .kconfig externs find.
constexpr const char* kKconfig =
    "CONFIG_BPF=y\nCONFIG_BPF_SYSCALL=y\nCONFIG_BPF_JIT=y\nCONFIG_NET=y\nCONFIG_HZ=250\n";

std::string with_messages(LibbpfSession& session, std::string text) {
  const std::string messages = session.take_messages();
  return messages.empty() ? text : text + ": " + messages;
}

Result<Object> open_object(LibbpfSession& session, const std::string& path,
                           const std::vector<char>& file) {
  // "web" of "dir/web.bpf.o", as libbpf itself would name it: global data's maps are called
  // web.rodata then.
  std::string name = path.substr(path.find_last_of('/') + 1);
  name = name.substr(0, name.find('.'));
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name.c_str(), .kconfig = kKconfig);
  Object object(::bpf_object__open_mem(file.data(), file.size(), &options));
  const int code = errno;
  if (object == nullptr) return fail(code, with_messages(session, "not a valid BPF object"));
  if (auto good = check_object_maps(object.get()); !good) return fail(std::move(good.error()));
  return object;
}

// "xdp" is xdp, xdp.frags and xdp/name, but not xdpcount.
bool is_section_of(std::string_view section, const ProgramType& type) {
  return std::ranges::any_of(type.sections, [section](std::string_view prefix) {
    if (!section.starts_with(prefix)) return false;
    return section.size() == prefix.size() || section[prefix.size()] == '/' ||
           section[prefix.size()] == '.';
  });
}

// What its section says, as long as ports run it: socket filters have sections of any other name.
uint32_t type_by_section(std::string_view section) {
  for (const uint32_t type : {BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS}) {
    if (is_section_of(section, *find_program_type(type))) return type;
  }
  return BPF_PROG_TYPE_SOCKET_FILTER;
}

bool has_prog_array(bpf_object* object) {
  bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object, map)) != nullptr) {
    if (::bpf_map__type(map) == BPF_MAP_TYPE_PROG_ARRAY) return true;
  }
  return false;
}

// Marks the chosen program for loading, and beside a prog_array those of its type too: libbpf puts
// them into it.
void mark_programs(bpf_object* object, bpf_program* chosen) {
  const uint32_t type = type_by_section(::bpf_program__section_name(chosen));
  const bool tail_calls = has_prog_array(object);
  bpf_program* program = nullptr;
  while ((program = ::bpf_object__next_program(object, program)) != nullptr) {
    const bool target = tail_calls && ::bpf_program__autoload(program) &&
                        type_by_section(::bpf_program__section_name(program)) == type;
    ::bpf_program__set_autoload(program, program == chosen || target);
    ::bpf_program__set_type(program, static_cast<bpf_prog_type>(type));
    ::bpf_program__set_expected_attach_type(
        program, type == BPF_PROG_TYPE_XDP ? BPF_XDP : static_cast<bpf_attach_type>(0));
  }
}

Result<bpf_program*> choose_program(bpf_object* object, const std::string& wanted) {
  bpf_program* chosen = nullptr;
  std::string names;
  int count = 0;
  bpf_program* program = nullptr;
  while ((program = ::bpf_object__next_program(object, program)) != nullptr) {
    const std::string name = ::bpf_program__name(program);
    names += (count++ == 0 ? "" : ", ") + name;
    if (wanted.empty() || wanted == name || wanted == ::bpf_program__section_name(program))
      chosen = program;
  }
  if (count == 0) return fail(ENOENT, "the object has no programs");
  if (chosen == nullptr)
    return fail(ENOENT, "no program \"" + wanted + "\"; the object has " + names);
  if (wanted.empty() && count > 1)
    return fail(EINVAL, "the object has several programs, name one: " + names);
  mark_programs(object, chosen);
  return chosen;
}

// What changes while programs run is taken over; constants come from the object.
bool may_replace(const MapObject& former, bpf_map* map) {
  const MapSpec& spec = former.map->spec();
  constexpr uint32_t kConstant = BPF_F_RDONLY_PROG;
  // as the session has it
  const uint32_t flags = ::bpf_map__map_flags(map) & ~uint32_t{BPF_F_MMAPABLE};
  const std::string name = ::bpf_map__name(map);
  return spec.name == name.substr(0, BPF_OBJ_NAME_LEN - 1) && spec.type == ::bpf_map__type(map) &&
         spec.key_size == ::bpf_map__key_size(map) &&
         spec.value_size == ::bpf_map__value_size(map) &&
         spec.max_entries == ::bpf_map__max_entries(map) && spec.flags == flags &&
         (flags & kConstant) == 0;
}

Status reuse_maps(BpfSurface& surface, bpf_object* object,
                  const std::vector<std::shared_ptr<MapObject>>& maps) {
  bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object, map)) != nullptr) {
    for (const auto& former : maps) {
      if (!may_replace(*former, map)) continue;
      const UniqueFd fd(surface.objects().open({former}));
      if (!fd) return fail(errno_error(-fd.get(), "open map"));
      if (const int error = ::bpf_map__reuse_fd(map, fd.get()); error != 0) {
        return fail(errno_error(-error, "reuse map"));
      }
    }
  }
  return {};
}

Error explain(LibbpfSession& session, bpf_object* object, int code) {
  bpf_program* program = nullptr;
  while ((program = ::bpf_object__next_program(object, program)) != nullptr) {
    const std::string name = ::bpf_program__name(program);
    if (const LoadFailure* failure = session.failure_of(name))
      return refusal(*failure).in("program " + name);
  }
  std::string map;
  if (const LoadFailure* failure = session.map_failure(&map)) {
    Error error = refusal(*failure);
    if (error.text.empty()) error.text = with_messages(session, "refused");
    return std::move(error).in("map " + map);
  }
  return {code, with_messages(session, "libbpf cannot load it")};
}

Result<LoadedProgram> collect(BpfSurface& surface, bpf_object* object, bpf_program* program) {
  LoadedProgram loaded;
  const auto program_object = surface.objects().program_of(::bpf_program__fd(program));
  if (program_object == nullptr) return fail(EBADF, "libbpf has no descriptor of the program");
  loaded.id = program_object->id;
  loaded.program = share_program(program_object);
  bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object, map)) != nullptr) {
    const auto map_object = surface.objects().map_of(::bpf_map__fd(map));
    if (map_object != nullptr) loaded.maps.emplace(::bpf_map__name(map), use_map(map_object));
  }
  return loaded;
}

Result<LoadedProgram> load(BpfSurface& surface, const ObjectRequest& request) {
  const auto file = read_object_file(request.path);
  if (!file) return fail(file.error());
  LibbpfSession session(surface);
  auto object = open_object(session, request.path, *file);
  if (!object) return fail(std::move(object.error()));
  const auto program = choose_program(object->get(), request.program);
  if (!program) return fail(program.error());
  // A pin path in the object is not libbpf's to follow: pins are the surface's.
  bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object->get(), map)) != nullptr)
    ::bpf_map__set_pin_path(map, nullptr);
  if (Status reused = reuse_maps(surface, object->get(), request.maps); !reused)
    return fail(std::move(reused.error()));
  const int code = -::bpf_object__load(object->get());
  if (code != 0) return fail(explain(session, object->get(), code));
  auto loaded = collect(surface, object->get(), *program);
  if (!loaded) return fail(std::move(loaded.error()).in(with_messages(session, "collect")));
  object->reset();  // the session's end sweeps what its descriptors held
  return loaded;
}

}  // namespace

Result<LoadedProgram> load_object(BpfSurface& surface, const ObjectRequest& request) {
  auto loaded = load(surface, request);
  if (!loaded) return fail(std::move(loaded.error()).in("load " + request.path));
  loaded->name = request.name;
  return loaded;
}

}  // namespace sluice::bpf
