// What is retired while a test run is on, where no worker runs.
#include "control/grace_queue.hpp"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

TEST(GraceQueue, KeepsWhatIsRetiredDuringATestRunUntilItIsOver) {
  GraceQueue queue;
  auto kept = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = kept;
  queue.enter();
  queue.retire(std::move(kept));
  queue.reclaim();
  EXPECT_FALSE(seen.expired());
  queue.leave();
  EXPECT_TRUE(seen.expired());
}

TEST(GraceQueue, KeepsNothingWhereNothingRuns) {
  GraceQueue queue;
  auto dropped = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = dropped;
  queue.retire(std::move(dropped));
  EXPECT_TRUE(seen.expired());
}

}  // namespace
}  // namespace sluice::control
