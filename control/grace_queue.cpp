#include "control/grace_queue.hpp"

#include <unistd.h>

namespace sluice::control {
namespace {

constexpr useconds_t kPollMicroseconds = 50;

}  // namespace

void GraceQueue::follow(dataplane::Dataplane* dataplane) {
  std::deque<Waiting> freed;  // after the lock: what goes may retire more
  const std::lock_guard guard(lock_);
  dataplane_ = dataplane;
  if (dataplane == nullptr) freed.swap(waiting_);
}

void GraceQueue::retire(std::shared_ptr<const void> reference) {
  const std::lock_guard guard(lock_);
  if (entered_) kept_.push_back(reference);
  if (dataplane_ != nullptr) waiting_.push_back({dataplane_->begin_grace(), std::move(reference)});
}

// Asleep between looks: a worker on this very core has to run to become quiescent.
void GraceQueue::wait() {
  std::unique_lock guard(lock_);
  if (dataplane_ == nullptr) return;
  const uint64_t token = dataplane_->begin_grace();
  while (dataplane_ != nullptr && !dataplane_->grace_over(token)) {
    guard.unlock();
    ::usleep(kPollMicroseconds);
    guard.lock();
  }
}

void GraceQueue::enter() {
  const std::lock_guard guard(lock_);
  entered_ = true;
}

void GraceQueue::leave() {
  std::vector<std::shared_ptr<const void>> freed;  // after the lock: what goes may retire more
  const std::lock_guard guard(lock_);
  entered_ = false;
  freed.swap(kept_);
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
