#include "tests/bench/traffic.hpp"

#include <sys/mman.h>

#include <cstring>

#include "tests/bench/measure.hpp"

namespace sluice::bench {
namespace {

constexpr size_t kHugePage = 2u << 20;
constexpr uint32_t kRoom = 128;  // in front of each frame, as an rte_mbuf has it
constexpr uint32_t kCacheLine = 64;
constexpr uint32_t kLongest = 1514;

class FrameMaker {
 public:
  explicit FrameMaker(uint32_t flows) : flows_(flows) {}

  // The length; 1,514 bytes of room.
  uint32_t make(uint8_t* frame) {
    static constexpr uint16_t kLengths[] = {64, 64, 64, 128, 128, 256, 590, 590, 1514, 1514};
    const uint32_t length = kLengths[random_() % std::size(kLengths)];
    std::memset(frame, 0, length);
    const auto flow = static_cast<uint32_t>(random_() % flows_);
    at_ = frame;
    put(0x02, 1), put(0, 4), put(flow & 0xff, 1), put(0x02, 1), put(1, 5);
    if (flow % 25 == 0) put(0x8100, 2), put(flow % 64, 2);
    if (flow % 12 == 0) {
      ipv6(flow);
    } else {
      ipv4(flow, length);
    }
    return length;
  }

 private:
  void put(uint32_t value, uint32_t bytes) {
    for (uint32_t i = bytes; i > 0; i--)
      *at_++ = i > 4 ? 0 : static_cast<uint8_t>(value >> (8 * (i - 1)));
  }
  static uint32_t protocol_of(uint32_t flow) { return flow % 31 == 0 ? 1 : flow % 3 == 0 ? 17 : 6; }

  void ipv4(uint32_t flow, uint32_t length) {
    put(0x0800, 2), put(0x45, 1), put(0, 1), put(length - 14, 2), put(flow & 0xffff, 2);
    put(flow % 97 == 0 ? 0x2000 : 0x4000, 2), put(flow % 50 == 0 ? 1 : 64, 1),
        put(protocol_of(flow), 1), put(0, 2);
    put(0x0a000000 + flow * 2654435761u % 0xfffff, 4), put(0xc0a80000 + flow % 4096, 4);
    transport(flow);
  }
  void ipv6(uint32_t flow) {
    put(0x86dd, 2), put(0x60000000, 4), put(20, 2), put(protocol_of(flow), 1), put(64, 1);
    put(0x20010db8, 4), put(0, 8), put(flow, 4), put(0x20010db8, 4), put(1, 8), put(flow % 4096, 4);
    transport(flow);
  }
  void transport(uint32_t flow) {
    static constexpr uint16_t kPorts[] = {80, 443, 22, 443, 8080, 25};
    const uint32_t source = 1024 + flow % 50'000;
    if (protocol_of(flow) == 1) return put(8, 1);
    if (protocol_of(flow) == 17) {
      put(source, 2), put(flow % 2 == 0 ? 53 : 123, 2), put(40, 2), put(0, 2);
      if (flow % 2 == 0) dns_query(flow);
      return;
    }
    put(source, 2), put(kPorts[flow % std::size(kPorts)], 2), put(flow, 4), put(0, 4), put(0x50, 1);
    put(random_() % 10 == 0 ? 0x02 : 0x10, 1), put(8192, 2);
  }
  // "hostN.net A": short enough for a frame of 64 bytes to be cut inside it now and then, as on the
  // wire.
  void dns_query(uint32_t flow) {
    put(flow & 0xffff, 2), put(0x0100, 2), put(1, 2), put(0, 5), put(0, 1);
    put(3, 1), put('w' << 16 | 'w' << 8 | 'w', 3), put(2, 1), put(('a' + flow % 26) << 8 | 'b', 2),
        put(0, 1);
    put(flow % 4 == 0 ? 28 : 1, 2), put(1, 2);
  }

  uint32_t flows_;
  std::mt19937_64 random_{7};
  uint8_t* at_ = nullptr;
};

}  // namespace

HugeMemory::HugeMemory(size_t bytes)
    : bytes_((bytes + kHugePage - 1) / kHugePage * kHugePage + kHugePage) {
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) give_up("no memory for packets");
  (void)madvise(memory, bytes_, MADV_HUGEPAGE);
  data_ = static_cast<uint8_t*>(memory);
}
HugeMemory::~HugeMemory() { munmap(data_, bytes_); }

Traffic::Traffic(uint32_t count, uint32_t flows) {
  bytes_ = std::make_unique<HugeMemory>(size_t{count} * (kRoom + kLongest + kCacheLine));
  FrameMaker maker(flows);
  uint8_t* at = bytes_->data();
  linear_.reserve(count);
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t length = maker.make(at + kRoom);
    frames.push_back({at + kRoom, length});
    bpf::LinearPacket packet;
    packet.buffer = at;
    packet.data_off = kRoom;
    packet.captured = packet.wire_length = length;
    linear_.push_back(packet);
    packets.push_back(&linear_.back());
    at += (kRoom + length + kCacheLine - 1) / kCacheLine * kCacheLine;
  }
}

}  // namespace sluice::bench
