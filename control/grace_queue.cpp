#include "control/grace_queue.hpp"

namespace sluice::control {

void GraceQueue::follow(dataplane::Dataplane* dataplane) {
  std::deque<Waiting> freed;  // after the lock: what goes may retire more
  const std::lock_guard guard(lock_);
  dataplane_ = dataplane;
  if (dataplane == nullptr) freed.swap(waiting_);
}

void GraceQueue::retire(std::shared_ptr<const void> reference) {
  const std::lock_guard guard(lock_);
  if (dataplane_ != nullptr) waiting_.push_back({dataplane_->begin_grace(), std::move(reference)});
}

void GraceQueue::reclaim() {
  std::deque<Waiting> freed;
  const std::lock_guard guard(lock_);
  while (!waiting_.empty() && dataplane_->grace_over(waiting_.front().token)) {
    freed.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

}  // namespace sluice::control
