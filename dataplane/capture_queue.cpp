#include "dataplane/capture_queue.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace sluice::dataplane {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kHeaderBytes = (kBurst * sizeof(ReplayPacket) + kAlign - 1) & ~(kAlign - 1);
// Room for a burst of the longest records; only what records fill is ever touched.
constexpr size_t kArenaBytes =
    kBurst * (size_t{kReplayHeadRoom} + kMaxPacket + kReplayTailRoom + kAlign);

std::string byte_text(uint8_t byte) {
  static constexpr char kDigits[] = "0123456789abcdef";
  return {kDigits[byte >> 4], kDigits[byte & 15]};
}

std::string byte_difference(const CaptureRecord& got, const CaptureRecord& expected) {
  const auto at =
      std::mismatch(got.bytes, got.bytes + got.captured, expected.bytes).first - got.bytes;
  return "byte " + std::to_string(at) + " is " + byte_text(got.bytes[at]) + ", expected " +
         byte_text(expected.bytes[at]);
}

}  // namespace

CaptureRxQueue::CaptureRxQueue() {
  void* memory = mmap(nullptr, kHeaderBytes + kArenaBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;  // ready() says so
  packets_of_batch_ = static_cast<ReplayPacket*>(memory);
  arena_ = static_cast<uint8_t*>(memory) + kHeaderBytes;
}

CaptureRxQueue::~CaptureRxQueue() {
  if (arena_ != nullptr) munmap(packets_of_batch_, kHeaderBytes + kArenaBytes);
}

void CaptureRxQueue::read_from(CaptureReader& reader) {
  reader_ = &reader;
  finished_ = false;
}

uint32_t CaptureRxQueue::poll(Batch& batch) {
  batch.count = 0;
  uint8_t* at = arena_;
  CaptureRecord record;
  while (batch.count < kBurst && !finished_) {
    const CaptureReader::Next next = reader_->next(record);
    if (next != CaptureReader::Next::record) [[unlikely]] {
      finished_ = true;
      failed_ = next == CaptureReader::Next::error;
      break;
    }
    std::memcpy(at + kReplayHeadRoom, record.bytes, record.captured);
    const uint32_t room = kReplayHeadRoom + record.captured + kReplayTailRoom;
    ReplayPacket& packet = packets_of_batch_[batch.count];
    packet.mbuf.buf_addr = at;
    packet.mbuf.buf_len = static_cast<uint16_t>(std::min<uint32_t>(room, UINT16_MAX));
    packet.mbuf.data_off = kReplayHeadRoom;
    packet.mbuf.nb_segs = 1;
    packet.mbuf.pkt_len = record.captured;
    packet.mbuf.data_len = static_cast<uint16_t>(std::min<uint32_t>(record.captured, UINT16_MAX));
    packet.wire_length = record.wire_length;
    packet.seconds = record.seconds;
    packet.nanoseconds = record.nanoseconds;
    batch.packets[batch.count++] = &packet.mbuf;
    at += (room + kAlign - 1) & ~(kAlign - 1);
    bytes_ += record.wire_length;
    captured_bytes_ += record.captured;
  }
  packets_ += batch.count;
  return batch.count;
}

uint32_t CaptureTxQueue::send(rte_mbuf** packets, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    const auto* packet = reinterpret_cast<const ReplayPacket*>(packets[i]);
    const CaptureRecord record{rte_pktmbuf_mtod(&packet->mbuf, const uint8_t*),
                               packet->mbuf.pkt_len, packet->wire_length, packet->seconds,
                               packet->nanoseconds};
    packets_++;
    bytes_ += record.captured;
    if (writer_ != nullptr && !writer_->write(record)) write_failed_ = true;
    if (expected_ != nullptr && !difference_ && !expected_unreadable_) compare(record);
  }
  return count;
}

void CaptureTxQueue::compare(const CaptureRecord& got) {
  CaptureRecord expected;
  const CaptureReader::Next next = expected_->next(expected);
  if (next == CaptureReader::Next::error) {
    expected_unreadable_ = true;
    return;
  }
  const std::string which = "packet " + std::to_string(packets_) + " that passed";
  if (next == CaptureReader::Next::end) {
    difference_ = which + " is not in " + expected_->path() + ", which ends after " +
                  std::to_string(expected_->records());
  } else if (got.wire_length != expected.wire_length) {
    difference_ = which + ": length on the wire is " + std::to_string(got.wire_length) +
                  ", expected " + std::to_string(expected.wire_length);
  } else if (got.captured != expected.captured) {
    difference_ = which + ": " + std::to_string(got.captured) + " bytes captured, expected " +
                  std::to_string(expected.captured);
  } else if (!std::equal(got.bytes, got.bytes + got.captured, expected.bytes)) {
    difference_ = which + ": " + byte_difference(got, expected);
  }
}

void CaptureTxQueue::expect_end() {
  if (expected_ == nullptr || difference_ || expected_unreadable_) return;
  const uint64_t seen = expected_->records();
  CaptureRecord record;
  CaptureReader::Next next;
  while ((next = expected_->next(record)) == CaptureReader::Next::record) {
  }
  expected_unreadable_ = next == CaptureReader::Next::error;
  const uint64_t more = expected_->records() - seen;
  if (more == 0) return;
  difference_ = expected_->path() + " has " + std::to_string(more) + " more than the " +
                std::to_string(seen) + " that passed";
}

}  // namespace sluice::dataplane
