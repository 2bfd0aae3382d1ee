// Memory that a worker may still be looking at is freed after a grace period. The data plane has
// one (QSBR); where nothing runs programs beside the caller there is none, and release is
// immediate. Control threads.
#pragma once

#include <memory>

namespace sluice::bpf {

class Grace {
 public:
  virtual ~Grace() = default;
  // Drops the reference once every worker has been quiescent. Does not wait.
  virtual void retire(std::shared_ptr<const void> reference) = 0;
  // Returns once every worker has been quiescent since the call.
  virtual void wait() = 0;
  // Between the two the caller runs programs beside the workers, for as long as it likes: what is
  // retired meanwhile stays until it leaves. One thread at a time.
  virtual void enter() {}
  virtual void leave() {}
};

}  // namespace sluice::bpf
