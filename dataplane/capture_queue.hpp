// The two ends of a replay, in the place of a port's queues: records of a capture come in, what
// passes goes to a file, is compared with another, or both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "dataplane/capture.hpp"
#include "dataplane/queue.hpp"
#include "dataplane/replay_packet.hpp"

namespace sluice::dataplane {

// Owns the bytes of one batch at a time.
class CaptureRxQueue final : public RxQueue {
 public:
  CaptureRxQueue();
  CaptureRxQueue(const CaptureRxQueue&) = delete;
  CaptureRxQueue& operator=(const CaptureRxQueue&) = delete;
  ~CaptureRxQueue() override;

  [[nodiscard]] bool ready() const { return arena_ != nullptr; }
  // Reads from `reader` (which outlives it) from the next poll on.
  void read_from(CaptureReader& reader);

  uint32_t poll(Batch& batch) override;
  void drop(rte_mbuf**, uint32_t) override {}  // nothing to give back: the next poll reuses them

  [[nodiscard]] bool finished() const { return finished_; }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] uint64_t packets() const { return packets_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] uint64_t captured_bytes() const { return captured_bytes_; }

 private:
  CaptureReader* reader_ = nullptr;
  ReplayPacket* packets_of_batch_ = nullptr;
  uint8_t* arena_ = nullptr;
  bool finished_ = false;
  bool failed_ = false;
  uint64_t packets_ = 0;
  uint64_t bytes_ = 0;
  uint64_t captured_bytes_ = 0;
};

class CaptureTxQueue final : public TxQueue {
 public:
  // Null: not wanted. Both outlive it.
  CaptureTxQueue(CaptureWriter* writer, CaptureReader* expected)
      : writer_(writer), expected_(expected) {}

  uint32_t send(rte_mbuf** packets, uint32_t count) override;
  void expect_again(CaptureReader& expected) { expected_ = &expected; }
  void expect_end();  // the expected capture has no more

  [[nodiscard]] bool write_failed() const { return write_failed_; }
  [[nodiscard]] bool expected_unreadable() const { return expected_unreadable_; }
  [[nodiscard]] uint64_t packets() const { return packets_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] const std::optional<std::string>& difference() const { return difference_; }

 private:
  void compare(const CaptureRecord& record);

  CaptureWriter* writer_;
  CaptureReader* expected_;
  bool write_failed_ = false;
  bool expected_unreadable_ = false;
  uint64_t packets_ = 0;
  uint64_t bytes_ = 0;
  std::optional<std::string> difference_;
};

}  // namespace sluice::dataplane
