// LINK_CREATE, LINK_UPDATE, LINK_DETACH; PROG_ATTACH, PROG_DETACH, PROG_QUERY.
#include <linux/if_link.h>

#include "bpf/isa/opcode_new.hpp"
#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr uint32_t kPlaceFlags = kAttachBefore | kAttachAfter | kAttachById | kAttachByLink;
// Ways for Linux to run an xdp program, of which a port has one.
constexpr uint32_t kXdpModes = XDP_FLAGS_SKB_MODE | XDP_FLAGS_DRV_MODE;

// What `relative` names, by the flags: a program or a link, by descriptor or id.
int read_relative(Call& call, uint32_t flags, uint32_t relative, AttachPlace* place) {
  place->before = (flags & kAttachBefore) != 0;
  place->after = (flags & kAttachAfter) != 0;
  const bool by_link = (flags & kAttachByLink) != 0;
  if ((flags & (kAttachById | kAttachByLink)) == 0 && relative == 0) return 0;
  if ((flags & kAttachById) != 0) {
    (by_link ? place->link_id : place->program_id) = relative;
    return relative == 0 ? -EINVAL : 0;
  }
  if (by_link) {
    std::shared_ptr<LinkObject> link;
    if (const int error = call.object_of(relative, &link); error != 0) return error;
    place->link_id = link->id;
    return 0;
  }
  std::shared_ptr<ProgramObject> program;
  if (const int error = call.object_of(relative, &program); error != 0) return error;
  place->program_id = program->id;
  return 0;
}

// The link's sequence becomes one that says its place. One put in before others takes the number of
// the first of them, that one the next one's, and so on. Written from the last one on: a kill in
// between leaves the others in their order.
long take_place(Call& call, uint32_t ifindex, LinkObject& added) {
  const AttachedList list = call.state.attachments.list(added.attach_type, ifindex);
  uint64_t sequence = added.sequence;
  long error = 0;
  for (auto item = list.items.rbegin(); item != list.items.rend() && item->link_id != added.id;
       ++item) {
    const auto link = item->link_id == 0 ? nullptr : call.objects.link(item->link_id);
    if (link == nullptr) continue;
    sequence = link->sequence.exchange(sequence);
    if (const long saved = save_changed(call, link); saved != 0) error = saved;
  }
  added.sequence = sequence;
  return error;
}

int writable_link(Call& call, uint32_t fd, std::shared_ptr<LinkObject>* link) {
  if (const int error = call.object_of(fd, link); error != 0) return error;
  return (*link)->attachment->of_configuration ? -EPERM : 0;
}

}  // namespace

long link_create(Call& call) {
  const auto& attr = call.attr.link_create;
  std::shared_ptr<ProgramObject> program;
  if (attr.attach_type > kAttachTypeMax) return -EINVAL;
  if (const int error = call.object_of(attr.prog_fd, &program); error != 0) return error;
  if (!goes_to(program->type, attr.attach_type)) return -EINVAL;
  const uint32_t allowed = attr.attach_type == BPF_XDP ? kPlaceFlags | kXdpModes : kPlaceFlags;
  if ((attr.flags & ~allowed) != 0) return -EINVAL;
  AttachPlace place;
  const auto relative = call.newer<uint32_t>(kLinkRelativeAt);
  if (const int error = read_relative(call, attr.flags, relative, &place); error != 0) return error;
  place.revision = call.newer<uint64_t>(kLinkRevisionAt);

  auto attachment = std::make_shared<Attachment>();
  attachment->attach_type = attr.attach_type;
  attachment->ifindex = attr.target_ifindex;
  attachment->program = std::move(program);
  auto link = std::make_shared<LinkObject>();
  link->uid = call.caller.uid;
  link->attach_type = attr.attach_type;
  link->attachment = attachment;
  call.state.attachments.tie(*link);
  call.objects.add(link);
  attachment->link_id = link->id;
  {
    const std::lock_guard guard(call.state.link_order);
    link->sequence = ++call.state.links_created;
    if (const int error = call.state.attachments.add(attachment, place); error != 0) return error;
    if (const long error = take_place(call, attr.target_ifindex, *link); error != 0) return error;
  }
  return call.objects.open({std::move(link)});
}

long link_update(Call& call) {
  const auto& attr = call.attr.link_update;
  if ((attr.flags & ~uint32_t{BPF_F_REPLACE}) != 0) return -EINVAL;
  std::shared_ptr<LinkObject> link;
  std::shared_ptr<ProgramObject> program;
  std::shared_ptr<ProgramObject> expected;
  if (const int error = writable_link(call, attr.link_fd, &link); error != 0) return error;
  if (const int error = call.object_of(attr.new_prog_fd, &program); error != 0) return error;
  if ((attr.flags & BPF_F_REPLACE) != 0) {
    if (const int error = call.object_of(attr.old_prog_fd, &expected); error != 0) return error;
  } else if (attr.old_prog_fd != 0) {
    return -EINVAL;
  }
  // Lives until the link's record names the new program: a kill in between must leave what the
  // record names.
  const LinkTarget former = link->target();
  if (const int error = call.state.attachments.replace(link->attachment, program, expected.get());
      error != 0) {
    return error;
  }
  return save_changed(call, link);
}

long link_detach(Call& call) {
  std::shared_ptr<LinkObject> link;
  if (const int error = writable_link(call, call.attr.link_detach.link_fd, &link); error != 0)
    return error;
  call.state.attachments.remove(link->attachment);
  return save_changed(call, link);
}

long prog_attach(Call& call) {
  const auto& attr = call.attr;
  if (attr.attach_type != kAttachTcxIngress && attr.attach_type != BPF_XDP) return -EINVAL;
  if ((attr.attach_flags & ~(kPlaceFlags | BPF_F_REPLACE)) != 0) return -EINVAL;
  std::shared_ptr<ProgramObject> program;
  if (const int error = call.object_of(attr.attach_bpf_fd, &program); error != 0) return error;
  if (!goes_to(program->type, attr.attach_type)) return -EINVAL;
  if ((attr.attach_flags & BPF_F_REPLACE) != 0) {
    std::shared_ptr<ProgramObject> former;
    if (const int error = call.object_of(attr.replace_bpf_fd, &former); error != 0) return error;
    const auto there =
        call.state.attachments.find(attr.attach_type, attr.target_fd, former.get(), true);
    return there == nullptr ? -ENOENT
                            : call.state.attachments.replace(there, program, former.get());
  }
  AttachPlace place;
  const auto relative = call.newer<uint32_t>(kAttachRelativeAt);
  if (const int error = read_relative(call, attr.attach_flags, relative, &place); error != 0)
    return error;
  place.revision = call.newer<uint64_t>(kAttachRevisionAt);
  auto attachment = std::make_shared<Attachment>();
  attachment->attach_type = attr.attach_type;
  attachment->ifindex = attr.target_fd;
  attachment->program = std::move(program);
  return call.state.attachments.add(attachment, place);
}

long prog_detach(Call& call) {
  const auto& attr = call.attr;
  if (is_cgroup_attach(attr.attach_type)) return -EBADF;  // target_fd is no cgroup
  if (attr.attach_type != kAttachTcxIngress && attr.attach_type != BPF_XDP) return -EINVAL;
  if ((attr.attach_flags & ~kPlaceFlags) != 0) return -EINVAL;
  if (!call.state.attachments.has_port(attr.target_fd)) return -ENODEV;
  std::shared_ptr<ProgramObject> program;
  if (attr.attach_bpf_fd != 0) {
    if (const int error = call.object_of(attr.attach_bpf_fd, &program); error != 0) return error;
  }
  const bool first = (attr.attach_flags & kAttachBefore) != 0;
  const auto there =
      call.state.attachments.find(attr.attach_type, attr.target_fd, program.get(), first);
  if (there == nullptr) return -ENOENT;
  call.state.attachments.remove(there);
  return 0;
}

long prog_query(Call& call) {
  auto& query = call.attr.query;
  if (is_cgroup_attach(query.attach_type)) return -EBADF;
  if (query.attach_type != kAttachTcxIngress && query.attach_type != BPF_XDP) return -EINVAL;
  if (query.query_flags != 0 || query.attach_flags != 0) return -EINVAL;
  if (!call.state.attachments.has_port(query.target_fd)) return -ENODEV;
  const AttachedList list = call.state.attachments.list(query.attach_type, query.target_fd);
  const uint32_t room = query.prog_cnt;
  std::vector<uint32_t> programs;
  std::vector<uint32_t> links;
  for (const auto& item : list.items) {
    programs.push_back(item.program->id);
    links.push_back(item.link_id);
  }
  const size_t count = std::min<size_t>(room, programs.size());
  const uint64_t link_ids = call.newer<uint64_t>(kQueryLinkIdsAt);
  if (query.prog_ids != 0 &&
      call.copy_out(query.prog_ids, programs.data(), count * sizeof programs[0]) != 0) {
    return -EFAULT;
  }
  if (link_ids != 0 && call.copy_out(link_ids, links.data(), count * sizeof links[0]) != 0)
    return -EFAULT;
  query.prog_cnt = static_cast<uint32_t>(programs.size());
  call.write_back(query.prog_cnt);
  call.write_newer(kQueryRevisionAt, list.revision);
  return query.prog_ids != 0 && room < programs.size() ? -ENOSPC : 0;
}

}  // namespace sluice::bpf::surface
