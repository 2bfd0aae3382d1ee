// From id to id and from id to descriptor. Objects by id are the owner's and root's alone.
#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {
namespace {

bool may_open(const Call& call, uid_t owner) {
  return call.caller.uid == 0 || call.caller.uid == owner;
}

template <class Object>
long next_id(Call& call, std::shared_ptr<Object> (ObjectTable::*after)(uint32_t) const) {
  if (call.attr.open_flags != 0 || call.attr.start_id >= INT32_MAX) return -EINVAL;
  call.objects.sweep();
  const auto object = (call.objects.*after)(call.attr.start_id);
  if (object == nullptr) return -ENOENT;
  call.attr.next_id = object->id;
  call.write_back(call.attr.next_id);
  return 0;
}

template <class Object>
long open_by_id(Call& call, const std::shared_ptr<Object>& object, Handle access = {}) {
  if (object == nullptr) return -ENOENT;
  if (!may_open(call, object->uid)) return -EPERM;
  access.object = object;
  return call.objects.open(std::move(access));
}

}  // namespace

long prog_next_id(Call& call) { return next_id(call, &ObjectTable::program_after); }
long map_next_id(Call& call) { return next_id(call, &ObjectTable::map_after); }
long btf_next_id(Call& call) { return next_id(call, &ObjectTable::btf_after); }

long prog_by_id(Call& call) {
  call.objects.sweep();
  return open_by_id(call, call.objects.program(call.attr.prog_id));
}

long map_by_id(Call& call) {
  const uint32_t flags = call.attr.open_flags;
  if ((flags & ~uint32_t{BPF_F_RDONLY | BPF_F_WRONLY}) != 0 ||
      flags == (BPF_F_RDONLY | BPF_F_WRONLY))
    return -EINVAL;
  call.objects.sweep();
  Handle access;
  access.readable = (flags & BPF_F_WRONLY) == 0;
  access.writable = (flags & BPF_F_RDONLY) == 0;
  return open_by_id(call, call.objects.map(call.attr.map_id), std::move(access));
}

long btf_by_id(Call& call) {
  call.objects.sweep();
  return open_by_id(call, call.objects.btf(call.attr.btf_id));
}

long link_by_id(Call& call) {
  call.objects.sweep();
  return open_by_id(call, call.objects.link(call.attr.link_id));
}

long link_next_id(Call& call) { return next_id(call, &ObjectTable::link_after); }

// What perf event a descriptor stands for: none, since programs are attached to ports alone.
long task_fd_query(Call& call) { return call.attr.task_fd_query.flags != 0 ? -EINVAL : -ENOENT; }

long enable_stats(Call& call) {
  if (call.caller.uid != 0) return -EPERM;
  if (call.attr.enable_stats.type != BPF_STATS_RUN_TIME) return -EINVAL;
  return call.objects.open({std::make_shared<StatsObject>(call.state.stats_users)});
}

}  // namespace sluice::bpf::surface
