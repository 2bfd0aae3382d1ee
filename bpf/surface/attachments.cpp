#include "bpf/surface/attachments.hpp"

#include <algorithm>
#include <cerrno>

#include "base/limits.hpp"

namespace sluice::bpf {
namespace {

std::vector<std::shared_ptr<ProgramObject>> programs_of(const std::vector<std::shared_ptr<Attachment>>& items) {
  std::vector<std::shared_ptr<ProgramObject>> programs;
  for (const auto& item : items) programs.push_back(item->program);
  return programs;
}

}  // namespace

void Attachments::set_attacher(Attacher* attacher) {
  std::lock_guard guard(lock_);
  attacher_ = attacher;
}

bool Attachments::has_port(uint32_t ifindex) const {
  std::lock_guard guard(lock_);
  return attacher_ != nullptr && attacher_->has_port(ifindex);
}

int Attachments::place_of(const List& list, const AttachPlace& place, bool of_configuration, size_t* index) const {
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
    return place.link_id != 0 ? item->link_id == place.link_id : item->program->id == place.program_id;
  });
  if (found == list.items.end()) return -ENOENT;
  if (!place.before && !place.after) return -EINVAL;
  *index = static_cast<size_t>(found - list.items.begin()) + (place.after ? 1 : 0);
  return *index < first_free ? -EPERM : 0;
}

// The port runs `items` from now on, or what it ran before.
Status Attachments::publish(const Key& key, std::vector<std::shared_ptr<Attachment>> items) {
  if (attacher_ != nullptr && attacher_->has_port(key.first)) {
    if (auto status = attacher_->set_programs(key.first, programs_of(items)); !status) return status;
  }
  List& list = lists_[key];
  list.items = std::move(items);
  list.revision++;
  return {};
}

Status Attachments::add_configured(uint32_t ifindex, uint32_t attach_type,
                                   std::vector<std::shared_ptr<Attachment>> attachments) {
  std::lock_guard guard(lock_);
  for (const auto& attachment : attachments) {
    if (attachment->program->type == BPF_PROG_TYPE_SOCKET_FILTER) continue;
    return fail(EOPNOTSUPP, "program " + attachment->program->name + ": a chain runs socket filters alone");
  }
  const Key key{ifindex, attach_type};
  const auto& others = lists_[key].items;
  attachments.insert(attachments.end(), others.begin(), others.end());
  return publish(key, std::move(attachments));
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
  // The verdicts of the other types are not a chain's.
  if (attachment->program->type != BPF_PROG_TYPE_SOCKET_FILTER) return -EOPNOTSUPP;
  const Key key{attachment->ifindex, attachment->attach_type};
  const List& list = lists_[key];
  if (place.revision != 0 && place.revision != list.revision) return -ESTALE;
  const bool there = std::any_of(list.items.begin(), list.items.end(),
                                 [&](const auto& item) { return item->program == attachment->program; });
  if (there) return -EEXIST;
  size_t index = 0;
  if (const int error = place_of(list, place, attachment->of_configuration, &index); error != 0) return error;
  if (list.items.size() >= kMaxChainPrograms) return -ERANGE;
  auto items = list.items;
  items.insert(items.begin() + static_cast<ptrdiff_t>(index), attachment);
  if (const auto status = publish(key, std::move(items)); !status) return -status.error().code;
  attachment->port = attacher_->port_name(attachment->ifindex);
  return 0;
}

int Attachments::replace(const std::shared_ptr<Attachment>& attachment, const std::shared_ptr<ProgramObject>& program,
                         const ProgramObject* expected) {
  std::lock_guard guard(lock_);
  if (attachment->ifindex == 0) return -ENOLINK;
  if (expected != nullptr && attachment->program.get() != expected) return -EPERM;
  if (program->type != attachment->program->type) return -EINVAL;
  if (program == attachment->program) return 0;
  const Key key{attachment->ifindex, attachment->attach_type};
  const auto& items = lists_[key].items;
  if (std::any_of(items.begin(), items.end(), [&](const auto& item) { return item->program == program; })) return -EEXIST;
  keep_statistics(*attachment);
  auto former = std::exchange(attachment->program, program);
  const auto status = publish(key, items);
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
  if (!publish(key, items)) (void)publish(key, {});
  attachment->ifindex = 0;
}

std::shared_ptr<Attachment> Attachments::find(uint32_t attach_type, uint32_t ifindex, const ProgramObject* program,
                                              bool first) const {
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
