#include "dataplane/segments.hpp"

#include <rte_mbuf.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace sluice::dataplane {
namespace {

constexpr size_t kViewBytes = sizeof(rte_mbuf) * kBurst;

}  // namespace

Segments::Segments() {
  void* memory = mmap(nullptr, kViewBytes + kBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;  // view() then says no
  views_ = static_cast<rte_mbuf*>(memory);
  memory_ = static_cast<uint8_t*>(memory) + kViewBytes;
}

Segments::~Segments() {
  if (views_ != nullptr) munmap(views_, kViewBytes + kBytes);
}

rte_mbuf* Segments::view(const rte_mbuf* packet) {
  const uint64_t bytes = uint64_t{kHeadRoom} + packet->pkt_len + kTailRoom;
  if (views_ == nullptr || views_used_ == kBurst || bytes > kBytes - used_) return nullptr;
  rte_mbuf* view = &views_[views_used_++];
  view->buf_addr = memory_ + used_;
  view->buf_len = static_cast<uint16_t>(std::min<uint64_t>(bytes, UINT16_MAX));
  view->data_off = kHeadRoom;
  view->pkt_len = packet->pkt_len;
  view->hash.rss = packet->hash.rss;
  uint8_t* to = rte_pktmbuf_mtod(view, uint8_t*);
  for (const rte_mbuf* part = packet; part != nullptr; part = part->next) {
    std::memcpy(to, rte_pktmbuf_mtod(part, const uint8_t*), part->data_len);
    to += part->data_len;
  }
  used_ += static_cast<uint32_t>(bytes);
  return view;
}

bool put_back_view(rte_mbuf* packet, const rte_mbuf* view) {
  const auto* from = rte_pktmbuf_mtod(view, const uint8_t*);
  uint32_t left = view->pkt_len;
  for (rte_mbuf* part = packet; part != nullptr; part = part->next) {
    part->data_len =
        static_cast<uint16_t>(std::min<uint32_t>(left, part->buf_len - part->data_off));
    std::memcpy(rte_pktmbuf_mtod(part, uint8_t*), from, part->data_len);
    from += part->data_len;
    left -= part->data_len;
  }
  if (left != 0) return false;
  trim_packet(packet, view->pkt_len);
  return true;
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
