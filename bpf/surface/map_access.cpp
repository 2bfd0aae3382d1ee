#include "bpf/surface/map_access.hpp"

#include "bpf/interp/interp.hpp"
#include "bpf/maps/reference_map.hpp"
#include "bpf/progs/tail_target.hpp"
#include "bpf/surface/machine_code.hpp"

namespace sluice::bpf::surface {
namespace {

// A program as prog_arrays hold it, with what keeps it alive.
struct HeldProgram {
  std::shared_ptr<ProgramObject> program;
  std::shared_ptr<const jit::CompiledProgram> code;  // null: interpreted
  TailTarget target;
};

int save(BpfSurface::State& state, const ObjectRef& object, MapReference* reference) {
  if (!state.objects.pins().is_open()) return 0;
  const auto record = state.objects.pins().store().save(object);
  if (!record) return -record.error().code;
  reference->record = record_number(*record);
  return 0;
}

template <class Object>
int refer_to_descriptor(Call& call, uint32_t fd, MapReference* reference) {
  std::shared_ptr<Object> object;
  const int error = call.object_of(fd, &object);
  return error != 0 ? error : refer_to(call.state, call.caller, std::move(object), reference);
}

}  // namespace

int refer_to(BpfSurface::State& state, const Caller& caller, std::shared_ptr<ProgramObject> program,
             MapReference* reference) {
  auto held = std::make_shared<HeldProgram>();
  held->code = machine_code_of(state.options, caller, *program);
  if (caller.slow != nullptr && *caller.slow) return -EAGAIN;
  held->target = {program->annotated.get(),
                  held->code != nullptr ? held->code->code() : interpret_target};
  reference->id = program->id;
  reference->kind = program->tail_kind();
  reference->target = &held->target;
  held->program = program;
  reference->owner = std::move(held);
  return save(state, std::move(program), reference);
}

// Whatever programs the outer map has do to the inner one.
int refer_to(BpfSurface::State& state, const Caller& caller, std::shared_ptr<MapObject> map,
             MapReference* reference) {
  if (map->map->waits_to_admit() && caller.defer()) return -EAGAIN;
  map->map->admit(std::nullopt);
  reference->id = map->id;
  reference->target = &map->map->core();
  reference->map = map->map.get();
  reference->owner = map;
  return save(state, std::move(map), reference);
}

int map_for(Call& call, uint32_t fd, Access access, std::shared_ptr<MapObject>* map) {
  Handle handle;
  if (const int error = call.object_of(fd, map, &handle); error != 0) return error;
  if (access.read && !handle.readable) return -EPERM;
  return access.write && (!handle.writable || (*map)->frozen.load()) ? -EPERM : 0;
}

bool lock_allowed(const MapObject& map, uint64_t flags) {
  return (flags & BPF_F_LOCK) == 0 || map.map->spec().spin_lock_offset >= 0;
}

int update_element(Call& call, const MapObject& map, const void* key, const void* value,
                   uint64_t flags) {
  const ReferenceKind kind = reference_kind(map.map->spec().type);
  uint32_t fd = 0;
  if (kind != ReferenceKind::none) {
    if (const int error = map.map->check_reference(key, flags); error != 0) return error;
    std::memcpy(&fd, value, sizeof fd);
  }
  MapReference reference;
  int error = 0;
  switch (kind) {
    case ReferenceKind::none: return map.map->update(key, value, flags);
    case ReferenceKind::program:
      error = refer_to_descriptor<ProgramObject>(call, fd, &reference);
      break;
    case ReferenceKind::map: error = refer_to_descriptor<MapObject>(call, fd, &reference); break;
    case ReferenceKind::perf_event:
    case ReferenceKind::socket: {
      const int file = call.process.file(static_cast<int>(fd));
      error = file < 0 ? file : reference_file(kind, file, &reference);
      break;
    }
  }
  return error != 0 ? error : map.map->set_reference(key, reference, flags);
}

}  // namespace sluice::bpf::surface
