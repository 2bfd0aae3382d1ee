#include "control/pins.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "control/access.hpp"

namespace sluice::control {
namespace {

using bpf::MapObject;
using bpf::ProgramObject;

long call(bpf::BpfSurface& surface, int command, union bpf_attr attr) {
  return surface.bpf({::geteuid(), ::getegid()}, command, &attr, sizeof attr);
}

union bpf_attr path_attr(const std::string& path, uint32_t fd) {
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.pathname = reinterpret_cast<uintptr_t>(path.c_str());
  attr.bpf_fd = fd;
  return attr;
}

// Every directory on the way to the last name.
Status make_directories(const std::string& path, size_t from, mode_t mode) {
  for (size_t at = path.find('/', from); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string directory = path.substr(0, at);
    if (!directory.empty() && ::mkdir(directory.c_str(), mode) != 0 && errno != EEXIST) {
      return fail(errno_error(errno, "make " + directory));
    }
  }
  return {};
}

// Null: no such pin.
Result<std::shared_ptr<ProgramObject>> pinned_program(bpf::BpfSurface& surface,
                                                      const std::string& path) {
  const long fd = call(surface, BPF_OBJ_GET, path_attr(path, 0));
  if (fd == -ENOENT || fd == -ENOTDIR) return nullptr;
  if (fd == -EACCES)
    return fail(EACCES, "pin " + path + ": there is a file that is no pin (remove it)");
  if (fd < 0) return fail(errno_error(static_cast<int>(-fd), "pin " + path));
  auto program = surface.objects().program_of(static_cast<int>(fd));
  surface.close(static_cast<int>(fd));
  if (program == nullptr)
    return fail(EINVAL, "pin " + path + ": it is not a program's (remove it)");
  return program;
}

// The new program takes the name over in one step: whoever looks finds the one or the other.
Status put_pin(bpf::BpfSurface& surface, const std::string& path, size_t root,
               const std::shared_ptr<ProgramObject>& program) {
  if (Status made = make_directories(path, root, 0755); !made) return made;
  const int fd = surface.objects().open({program});
  if (fd < 0) return fail(errno_error(-fd, "pin " + path));
  std::string next = path;
  long pinned;
  do {
    next += '~';  // a name that nobody has
    pinned = call(surface, BPF_OBJ_PIN, path_attr(next, static_cast<uint32_t>(fd)));
  } while (pinned == -EEXIST);
  surface.close(fd);
  if (pinned < 0) return fail(errno_error(static_cast<int>(-pinned), "pin " + path));
  if (std::rename(next.c_str(), path.c_str()) != 0)
    return fail(errno_error(errno, "rename pin to " + path));
  return {};
}

bool is_read_only(const MapObject& map) { return (map.map->spec().flags & BPF_F_RDONLY_PROG) != 0; }

// A program's constants: never the same map, but what they say is what counts.
bool same_contents(bpf::Map& one, bpf::Map& other) {
  std::vector<uint8_t> first(one.user_value_size());
  std::vector<uint8_t> second(other.user_value_size());
  for (uint32_t index = 0; index < one.spec().max_entries; index++) {
    if (one.lookup(&index, first.data()) != 0 || other.lookup(&index, second.data()) != 0 ||
        first != second) {
      return false;
    }
  }
  return true;
}

bool stands_for(const std::shared_ptr<MapObject>& former, const std::shared_ptr<MapObject>& now) {
  if (former == now) return true;
  return is_read_only(*former) && is_read_only(*now) && bpf::same_shape(*former->map, *now->map) &&
         former->map->spec().type == BPF_MAP_TYPE_ARRAY && same_contents(*former->map, *now->map);
}

bool same_program(const ProgramObject& former, const ProgramObject& now) {
  const auto old_maps = former.used_maps();
  const auto maps = now.used_maps();
  return former.tag == now.tag && former.type == now.type && former.licence == now.licence &&
         std::equal(old_maps.begin(), old_maps.end(), maps.begin(), maps.end(), stands_for);
}

// The names in the object stay; constants become those of the pinned program.
void use_former(const std::shared_ptr<ProgramObject>& former, bpf::LoadedProgram* loaded) {
  loaded->id = former->id;
  loaded->program = bpf::share_program(former);
  for (auto& [name, map] : loaded->maps) {
    for (const auto& old : former->used_maps()) {
      if (old->map->spec().name == map->spec().name) map = bpf::use_map(old);
    }
  }
}

}  // namespace

Status open_pins(const config::Config& config, bpf::BpfSurface& surface) {
  if (!config.pins) return {};
  const auto owner = owner_of(config, *config.pins);
  if (!owner) return fail(owner.error());
  const std::string& path = config.pins->path;
  const auto say = [&](Error error) {
    return fail(error.code, config.message(config.pins->at, "pins: " + error.text));
  };
  if (Status made = make_directories(path + "/", 0, 0755); !made)
    return say(std::move(made.error()));
  if (::chown(path.c_str(), owner->uid, owner->gid) != 0 ||
      ::chmod(path.c_str(), config.pins->mode) != 0) {
    return say(errno_error(errno, "owner and mode of " + path));
  }
  if (Status opened = surface.open_pins(path); !opened) return say(std::move(opened.error()));
  return {};
}

Result<bpf::LoadedProgram> load_pinned(const config::Config& config, bpf::BpfSurface& surface,
                                       const config::Program& program) {
  const std::string path = config.pins->path + program.pin->value;
  auto former = pinned_program(surface, path);
  if (!former) return fail(std::move(former.error()));
  const auto maps =
      *former == nullptr ? std::vector<std::shared_ptr<MapObject>>() : (*former)->used_maps();
  auto loaded =
      program.filter
          ? bpf::load_filter(surface, program.name.value, program.filter->value)
          : bpf::load_object(surface, {program.name.value, program.path, program.function, maps});
  if (!loaded) return loaded;
  const auto now = surface.objects().program(loaded->id);
  if (*former != nullptr && same_program(**former, *now)) {
    use_former(*former, &*loaded);
  }
  return loaded;
}

Status pin_program(const config::Config& config, bpf::BpfSurface& surface,
                   const config::Program& program, uint32_t id) {
  const std::string path = config.pins->path + program.pin->value;
  const auto former = pinned_program(surface, path);
  if (!former) return fail(former.error());
  const auto now = surface.objects().program(id);
  return *former == now ? Status() : put_pin(surface, path, config.pins->path.size() + 1, now);
}

Result<std::shared_ptr<bpf::Map>> pinned_map(const config::Config& config, bpf::BpfSurface& surface,
                                             const std::string& path) {
  const long fd = call(surface, BPF_OBJ_GET, path_attr(config.pins->path + path, 0));
  if (fd < 0) return fail(errno_error(static_cast<int>(-fd), "pin " + config.pins->path + path));
  const auto map = surface.objects().map_of(static_cast<int>(fd));
  surface.close(static_cast<int>(fd));
  if (map == nullptr)
    return fail(EINVAL, "pin " + config.pins->path + path + ": it is not a map's");
  return bpf::share_map(map);
}

}  // namespace sluice::control
