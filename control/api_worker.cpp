#include "control/api_worker.hpp"

#include <sys/eventfd.h>

namespace sluice::control {

ApiWorker::ApiWorker(Answer answer, int wake)
    : answer_(std::move(answer)), wake_(wake), thread_([this] { run(); }) {}

ApiWorker::~ApiWorker() {
  {
    std::lock_guard guard(lock_);
    stopping_ = true;
    cancelled_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void ApiWorker::submit(uint64_t connection, ApiRequest request) {
  {
    std::lock_guard guard(lock_);
    held_bytes_ += request.frame.size();
    jobs_.push_back({connection, std::move(request)});
  }
  changed_.notify_one();
}

void ApiWorker::cancel(uint64_t connection) {
  std::lock_guard guard(lock_);
  if (answering_ == connection) cancelled_ = true;
  std::erase_if(jobs_, [&](const Job& job) {
    if (job.connection != connection) return false;
    held_bytes_ -= job.request.frame.size();
    return true;
  });
}

size_t ApiWorker::held_bytes() {
  std::lock_guard guard(lock_);
  return held_bytes_;
}

std::vector<ApiWorker::Done> ApiWorker::take_done() {
  std::lock_guard guard(lock_);
  return std::exchange(done_, {});
}

void ApiWorker::run() {
  std::unique_lock guard(lock_);
  for (;;) {
    changed_.wait(guard, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    const size_t bytes = job.request.frame.size();
    answering_ = job.connection;
    cancelled_ = false;
    guard.unlock();
    Done done{job.connection, answer_(std::move(job.request), &cancelled_)};
    guard.lock();
    answering_ = 0;
    held_bytes_ -= bytes;
    done_.push_back(std::move(done));
    ::eventfd_write(wake_, 1);
  }
}

}  // namespace sluice::control
