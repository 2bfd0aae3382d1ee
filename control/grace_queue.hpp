// What maps let go of while programs run: kept until every worker has been quiescent and the test
// run of that moment is over. Any control thread.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "bpf/maps/grace.hpp"
#include "dataplane/dataplane.hpp"

namespace sluice::control {

class GraceQueue final : public bpf::Grace {
 public:
  // Whose workers to wait for; null: there are none, and what is retired goes at once.
  void follow(dataplane::Dataplane* dataplane);
  void retire(std::shared_ptr<const void> reference) override;
  void wait() override;
  void enter() override;
  void leave() override;
  // Frees what has waited long enough. To be called now and then.
  void reclaim();

 private:
  struct Waiting {
    uint64_t token;
    std::shared_ptr<const void> reference;
  };
  std::mutex lock_;
  dataplane::Dataplane* dataplane_ = nullptr;
  std::deque<Waiting> waiting_;
  bool entered_ = false;
  std::vector<std::shared_ptr<const void>> kept_;  // retired since
};

}  // namespace sluice::control
