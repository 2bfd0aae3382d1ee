#include "bpf/surface/attachments.hpp"

#include <algorithm>
#include <cerrno>

#include "base/limits.hpp"
#include "bpf/isa/opcode_new.hpp"

namespace sluice::bpf {
bool goes_to(uint32_t program_type, uint32_t attach_type) {
  if (attach_type == BPF_XDP) return program_type == BPF_PROG_TYPE_XDP;
  return attach_type == kAttachTcxIngress &&
         (program_type == BPF_PROG_TYPE_SOCKET_FILTER || program_type == BPF_PROG_TYPE_SCHED_CLS);
}

void Attachments::set_attacher(Attacher* attacher) {
  std::lock_guard guard(lock_);
  attacher_ = attacher;
}

bool Attachments::has_port(uint32_t ifindex) const {
  std::lock_guard guard(lock_);
  return attacher_ != nullptr && attacher_->has_port(ifindex);
}

int Attachments::place_of(const List& list, const AttachPlace& place, bool of_configuration,
                          size_t* index) const {
  size_t first_free = 0;
  while (first_free < list.items.size() && list.items[first_free]->of_configuration) first_free++;
  if (of_configuration) {
    *index = first_free;
    return 0;
  }
  if (place.before && place.after) return -EINVAL;
  if (place.program_id == 0 && place.link_id == 0) {
    *index = place.before ? first_free : list.items.size();
    return 0;
  }
  const auto found = std::find_if(list.items.begin(), list.items.end(), [&place](const auto& item) {
    return place.link_id != 0 ? item->link_id == place.link_id
                              : item->program->id == place.program_id;
  });
  if (found == list.items.end()) return -ENOENT;
  if (!place.before && !place.after) return -EINVAL;
  *index = static_cast<size_t>(found - list.items.begin()) + (place.after ? 1 : 0);
  return *index < first_free ? -EPERM : 0;
}

// The port's programs in the order they run: the lists of attach type XDP, then TCX_INGRESS.
std::vector<std::shared_ptr<ProgramObject>> Attachments::programs_of(uint32_t ifindex) const {
  std::vector<std::shared_ptr<ProgramObject>> programs;
  for (auto list = lists_.lower_bound({ifindex, 0});
       list != lists_.end() && list->first.first == ifindex; ++list) {
    for (const auto& item : list->second.items) programs.push_back(item->program);
  }
  return programs;
}

// The port runs its lists with these changes from now on, or what it ran before.
Status Attachments::publish(uint32_t ifindex, Changes changes) {
  for (auto& [attach_type, items] : changes) std::swap(lists_[{ifindex, attach_type}].items, items);
  Status status;
  if (attacher_ != nullptr && attacher_->has_port(ifindex)) {
    status = attacher_->set_programs(ifindex, programs_of(ifindex));
  }
  for (auto& [attach_type, items] : changes) {
    List& list = lists_[{ifindex, attach_type}];
    if (status) {
      list.revision++;
    } else {
      std::swap(list.items, items);
    }
  }
  return status;
}

Status Attachments::add_configured(uint32_t ifindex, const Items& attachments) {
  std::lock_guard guard(lock_);
  Changes changes;
  for (const auto& attachment : attachments) changes[attachment->attach_type].push_back(attachment);
  for (auto& [attach_type, items] : changes) {
    const auto& others = lists_[{ifindex, attach_type}].items;
    items.insert(items.end(), others.begin(), others.end());
  }
  return publish(ifindex, std::move(changes));
}

int Attachments::add(const std::shared_ptr<Attachment>& attachment, const AttachPlace& place) {
  std::lock_guard guard(lock_);
  const int error = insert(attachment, place);
  if (error != 0) attachment->ifindex = 0;  // it never ran there: its end changes nothing
  return error;
}

int Attachments::add_again(const std::shared_ptr<Attachment>& attachment) {
  {
    std::lock_guard guard(lock_);
    attachment->ifindex = attacher_ == nullptr ? 0 : attacher_->find_port(attachment->port);
  }
  return add(attachment, {});
}

void Attachments::tie(LinkObject& link) {
  link.detach = [this, attachment = link.attachment] { remove(attachment); };
  link.target = [this, attachment = link.attachment] {
    std::lock_guard guard(lock_);
    return LinkTarget{attachment->program, attachment->port};
  };
}

int Attachments::insert(const std::shared_ptr<Attachment>& attachment, const AttachPlace& place) {
  if (attacher_ == nullptr || !attacher_->has_port(attachment->ifindex)) return -ENODEV;
  const Key key{attachment->ifindex, attachment->attach_type};
  const List& list = lists_[key];
  if (place.revision != 0 && place.revision != list.revision) return -ESTALE;
  const bool there = std::any_of(list.items.begin(), list.items.end(), [&](const auto& item) {
    return item->program == attachment->program;
  });
  if (there) return -EEXIST;
  size_t index = 0;
  if (const int error = place_of(list, place, attachment->of_configuration, &index); error != 0)
    return error;
  if (programs_of(attachment->ifindex).size() >= kMaxChainPrograms) return -ERANGE;
  auto items = list.items;
  items.insert(items.begin() + static_cast<ptrdiff_t>(index), attachment);
  if (const auto status =
          publish(attachment->ifindex, {{attachment->attach_type, std::move(items)}});
      !status) {
    return -status.error().code;
  }
  attachment->port = attacher_->port_name(attachment->ifindex);
  return 0;
}

int Attachments::replace(const std::shared_ptr<Attachment>& attachment,
                         const std::shared_ptr<ProgramObject>& program,
                         const ProgramObject* expected) {
  std::lock_guard guard(lock_);
  if (attachment->ifindex == 0) return -ENOLINK;
  if (expected != nullptr && attachment->program.get() != expected) return -EPERM;
  if (program->type != attachment->program->type) return -EINVAL;
  if (program == attachment->program) return 0;
  const Key key{attachment->ifindex, attachment->attach_type};
  const auto& items = lists_[key].items;
  if (std::any_of(items.begin(), items.end(),
                  [&](const auto& item) { return item->program == program; })) {
    return -EEXIST;
  }
  keep_statistics(*attachment);
  auto former = std::exchange(attachment->program, program);
  const auto status = publish(attachment->ifindex, {{attachment->attach_type, items}});
  if (status) return 0;
  attachment->program = std::move(former);
  return -status.error().code;
}

void Attachments::remove(const std::shared_ptr<Attachment>& attachment) {
  std::lock_guard guard(lock_);
  attachment->port.clear();
  if (attachment->ifindex == 0) return;
  const Key key{attachment->ifindex, attachment->attach_type};
  auto items = lists_[key].items;
  std::erase(items, attachment);
  keep_statistics(*attachment);
  // A chain of fewer programs that does not compile leaves none: what was detached must not run on.
  if (!publish(attachment->ifindex, {{attachment->attach_type, items}})) {
    (void)publish(attachment->ifindex, {{attachment->attach_type, {}}});
  }
  attachment->ifindex = 0;
}

std::shared_ptr<Attachment> Attachments::find(uint32_t attach_type, uint32_t ifindex,
                                              const ProgramObject* program, bool first) const {
  std::lock_guard guard(lock_);
  const auto list = lists_.find({ifindex, attach_type});
  if (list == lists_.end()) return nullptr;
  std::shared_ptr<Attachment> found;
  for (const auto& item : list->second.items) {
    if (item->link_id != 0 || (program != nullptr && item->program.get() != program)) continue;
    found = item;
    if (first) break;
  }
  return found;
}

AttachedList Attachments::list(uint32_t attach_type, uint32_t ifindex) const {
  std::lock_guard guard(lock_);
  AttachedList copy;
  const auto list = lists_.find({ifindex, attach_type});
  if (list == lists_.end()) return copy;
  for (const auto& item : list->second.items) copy.items.push_back(*item);
  copy.revision = list->second.revision;
  return copy;
}

RunStatistics Attachments::statistics(const ProgramObject& program) const {
  std::lock_guard guard(lock_);
  RunStatistics sum{program.run_count.load(), program.run_time_ns.load()};
  if (attacher_ == nullptr) return sum;
  for (const auto& [key, list] : lists_) {
    for (const auto& item : list.items) {
      if (item->program.get() != &program) continue;
      const RunStatistics here = attacher_->statistics(key.first, program);
      sum.count += here.count;
      sum.time_ns += here.time_ns;
    }
  }
  return sum;
}

void Attachments::keep_statistics(const Attachment& gone) const {
  if (attacher_ == nullptr) return;
  const RunStatistics last = attacher_->statistics(gone.ifindex, *gone.program);
  gone.program->run_count += last.count;
  gone.program->run_time_ns += last.time_ns;
}

}  // namespace sluice::bpf
