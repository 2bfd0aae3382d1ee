#include "dataplane/segments.hpp"

#include <rte_mbuf.h>
#include <sys/mman.h>

#include <cstring>

namespace sluice::dataplane {
namespace {

constexpr size_t kViewBytes = sizeof(rte_mbuf) * kBurst;

}  // namespace

Segments::Segments() {
  void* memory = mmap(nullptr, kViewBytes + kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;  // view() then says no
  views_ = static_cast<rte_mbuf*>(memory);
  memory_ = static_cast<uint8_t*>(memory) + kViewBytes;
}

Segments::~Segments() {
  if (views_ != nullptr) munmap(views_, kViewBytes + kBytes);
}

const rte_mbuf* Segments::view(const rte_mbuf* packet) {
  if (views_ == nullptr || views_used_ == kBurst || packet->pkt_len > kBytes - used_) return nullptr;
  uint8_t* to = memory_ + used_;
  rte_mbuf* view = &views_[views_used_++];
  view->buf_addr = to;
  view->data_off = 0;
  view->pkt_len = packet->pkt_len;
  view->hash.rss = packet->hash.rss;
  for (const rte_mbuf* part = packet; part != nullptr; part = part->next) {
    std::memcpy(to, rte_pktmbuf_mtod(part, const uint8_t*), part->data_len);
    to += part->data_len;
  }
  used_ += packet->pkt_len;
  return view;
}

void trim_packet(rte_mbuf* packet, uint32_t length) {
  packet->pkt_len = length;
  rte_mbuf* part = packet;
  uint16_t segments = 1;
  while (part->next != nullptr && length > part->data_len) {
    length -= part->data_len;
    part = part->next;
    segments++;
  }
  // A replayed packet is longer than data_len can say; only pkt_len counts there.
  part->data_len = static_cast<uint16_t>(length);
  packet->nb_segs = segments;
  if (part->next == nullptr) [[likely]] return;
  rte_pktmbuf_free(part->next);
  part->next = nullptr;
}

}  // namespace sluice::dataplane
