#include "dataplane/dataplane.hpp"

#include <gtest/gtest.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <set>

#include "dataplane/eal.hpp"
#include "dataplane/mbuf_layout.hpp"
#include "dataplane/segments.hpp"
#include "tests/unit/dataplane/fake_burst.hpp"

namespace sluice::dataplane {
namespace {

class EalEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    EalSpec spec;
    spec.private_instance = true;
    spec.memory_mb = 256;
    auto eal = Eal::init(spec);
    ASSERT_TRUE(eal) << eal.error().text;
    eal_.emplace(std::move(*eal));
    pool = rte_pktmbuf_pool_create("test", 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    ASSERT_NE(pool, nullptr);
  }
  void TearDown() override {
    rte_mempool_free(pool);
    eal_.reset();
  }
  static inline rte_mempool* pool = nullptr;

 private:
  std::optional<Eal> eal_;
};

const auto* const environment = testing::AddGlobalTestEnvironment(new EalEnvironment);

// A port made of two rings: what the test puts in `in` is received, what is sent comes out of
// `out`.
class RingPort {
 public:
  explicit RingPort(const std::string& name) {
    in = rte_ring_create((name + "_in").c_str(), 1024, SOCKET_ID_ANY, 0);
    out = rte_ring_create((name + "_out").c_str(), 1024, SOCKET_ID_ANY, 0);
    rte_eth_from_rings(name.c_str(), &in, 1, &out, 1, 0);
  }
  ~RingPort() {
    drain();
    rte_ring_free(in);
    rte_ring_free(out);
  }
  RingPort(const RingPort&) = delete;
  RingPort& operator=(const RingPort&) = delete;

  void put(uint32_t length, uint8_t tag, uint32_t segments = 1) const {
    rte_mbuf* packet = make(length, tag, segments);
    ASSERT_NE(packet, nullptr);
    ASSERT_EQ(rte_ring_enqueue(in, packet), 0);
  }
  static rte_mbuf* make(uint32_t length, uint8_t tag, uint32_t segments) {
    rte_mbuf* head = nullptr;
    for (uint32_t i = 0; i < segments; i++) {
      rte_mbuf* part = rte_pktmbuf_alloc(EalEnvironment::pool);
      if (part == nullptr) return nullptr;
      std::memset(rte_pktmbuf_append(part, static_cast<uint16_t>(length)),
                  tag + static_cast<int>(i), length);
      if (head == nullptr) {
        head = part;
      } else {
        rte_pktmbuf_chain(head, part);
      }
    }
    return head;
  }
  // The next packet sent, within a second; null: none came.
  [[nodiscard]] rte_mbuf* take() const {
    void* packet = nullptr;
    for (int i = 0; i < 1000 && rte_ring_dequeue(out, &packet) != 0; i++) usleep(1000);
    return static_cast<rte_mbuf*>(packet);
  }
  void drain() const {
    void* packet;
    while (rte_ring_dequeue(out, &packet) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
    while (rte_ring_dequeue(in, &packet) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
  }
  rte_ring* in;
  rte_ring* out;
};

uint32_t keep_all(const bpf::PacketContext&) { return UINT32_MAX; }

std::unique_ptr<Dataplane> open(const DataplaneSpec& spec) {
  auto dataplane = Dataplane::create(spec);
  EXPECT_TRUE(dataplane) << dataplane.error().text;
  return dataplane ? std::move(*dataplane) : nullptr;
}

// Until the condition holds, for two seconds.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 2000; i++) {
    if (condition()) return true;
    usleep(1000);
  }
  return false;
}

PortSpec null_port(const std::string& name, uint32_t ifindex) {
  return {.name = name, .device = "net_null_" + name, .ifindex = ifindex, .idle_backoff = true};
}

TEST(Eal, InitialisesOnceAProcess) {
  auto again = Eal::init({});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, EALREADY);
}

TEST(Port, KnowsPciAddressesFromVirtualDevices) {
  EXPECT_TRUE(is_pci_address("0000:01:00.0"));
  EXPECT_TRUE(is_pci_address("01:00.1,foo=1"));
  EXPECT_FALSE(is_pci_address("net_af_packet0,iface=veth0.1"));
  EXPECT_FALSE(is_pci_address("net_null0"));
  EXPECT_FALSE(is_pci_address("net_tap0,mac=00:11:22:33:44:55,iface=a.1"));
}

TEST(Port, ErrorsNameThePortAndTheDevice) {
  auto none = Port::open({.name = "wan", .device = "net_nosuch0"}, 1);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().text.find("port wan: device net_nosuch0: "), 0u) << none.error().text;
  auto missing = Port::open({.name = "wan", .device = "net_af_packet9,iface=nosuchif"}, 1);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().text.find("port wan: device net_af_packet9,iface=nosuchif: "), 0u)
      << missing.error().text;
  auto queues = Port::open({.name = "wan", .device = "net_pcap9,rx_iface=lo", .rx_queues = 99}, 1);
  ASSERT_FALSE(queues);
}

TEST(Port, GivesItsDeviceBackWhenItCloses) {
  for (int i = 0; i < 3; i++) {
    auto port = Port::open({.name = "null", .device = "net_null7"}, 1);
    ASSERT_TRUE(port) << port.error().text;
    EXPECT_EQ(port->driver(), "net_null");
    EXPECT_TRUE(port->idle_backoff());
    auto twice = Port::open({.name = "twin", .device = "net_null7"}, 1);
    EXPECT_FALSE(twice);
  }
}

TEST(Dataplane, WithoutPortsStartsAndStops) {
  auto dataplane = open({});
  EXPECT_TRUE(dataplane->start());
  EXPECT_EQ(dataplane->workers(), 0u);
  EXPECT_FALSE(dataplane->set_chain(0, {}));
  dataplane->stop();
}

TEST(Dataplane, ForwardsBetweenTwoPortsOnOneCore) {
  auto dataplane = open({.ports = {null_port("a", 1), null_port("b", 2)}});
  std::atomic<uint32_t> seen{0};
  ASSERT_TRUE(dataplane->set_chain(0, fake_chain(kPortLayout, [&](const bpf::PacketContext& ctx) {
                                     seen |= 1u << ctx.env->ifindex;
                                     EXPECT_EQ(ctx.hash, 0u);
                                     return ctx.len;
                                   }, {ActionKind::forward, 1})));
  ASSERT_TRUE(dataplane->start());
  EXPECT_TRUE(eventually([&] { return dataplane->snapshot().ports[1].stats.tx_packets > 10000; }));
  dataplane->stop();
  const Snapshot snapshot = dataplane->snapshot();
  const QueueSnapshot& queue = snapshot.ports[0].queues[0];
  EXPECT_EQ(queue.packets, queue.sent + queue.dropped_tx_full);
  EXPECT_EQ(queue.sent, snapshot.ports[1].stats.tx_packets);
  EXPECT_EQ(seen, 2u) << "ifindex 1 alone";
  ASSERT_EQ(snapshot.chains.size(), 1u);
  EXPECT_EQ(snapshot.chains[0].programs[0].counters.run, queue.packets);
  EXPECT_GT(snapshot.chains[0].run_seconds, 0.0);
  EXPECT_GT(snapshot.workers[0].busy_seconds, 0.0);
  // No chain on the other port: what came in there is dropped and counted.
  EXPECT_EQ(snapshot.ports[1].queues[0].packets, snapshot.ports[1].queues[0].dropped_action);
}

TEST(Dataplane, ReplacesChainsUnderTrafficAndGoesOnCounting) {
  auto dataplane = open({.ports = {null_port("c", 1)}});
  ASSERT_TRUE(dataplane->start());
  std::weak_ptr<const bpf::Burst> old;
  uint64_t last = 0;
  for (int i = 0; i < 50; i++) {
    Chain chain = fake_chain(kPortLayout, keep_all, {ActionKind::drop});
    const std::weak_ptr<const bpf::Burst> current = chain.burst;
    ASSERT_TRUE(dataplane->set_chain(0, std::move(chain)));
    EXPECT_TRUE(old.expired()) << "a replaced chain outlives set_chain";
    old = current;
    const uint64_t run = dataplane->snapshot().chains[0].programs[0].counters.run;
    EXPECT_GE(run, last);
    last = run;
  }
  EXPECT_TRUE(
      eventually([&] { return dataplane->snapshot().chains[0].programs[0].counters.run > last; }));
  dataplane->clear_chain(0);
  EXPECT_TRUE(old.expired());
  EXPECT_TRUE(dataplane->snapshot().chains.empty());
}

TEST(Dataplane, StartsAgainAfterAStop) {
  auto dataplane = open({.ports = {null_port("d", 1)}, .cores = {0, 0}});
  EXPECT_EQ(dataplane->workers(), 1u) << "no more than there are queues";
  for (int i = 0; i < 3; i++) {
    const uint64_t before = dataplane->snapshot().ports[0].queues[0].packets;
    ASSERT_TRUE(dataplane->start());
    EXPECT_TRUE(
        eventually([&] { return dataplane->snapshot().ports[0].queues[0].packets > before; }));
    dataplane->stop();
  }
}

TEST(Dataplane, SharesATransmitQueueBetweenWorkers) {
  DataplaneSpec spec{.ports = {null_port("e", 1), null_port("f", 2)}, .cores = {0, 1}};
  auto dataplane = open(spec);
  EXPECT_EQ(dataplane->workers(), 2u);
  ASSERT_TRUE(dataplane->set_chain(0, fake_chain(kPortLayout, keep_all, {ActionKind::forward, 1})));
  ASSERT_TRUE(dataplane->set_chain(1, fake_chain(kPortLayout, keep_all, {ActionKind::reflect})));
  ASSERT_TRUE(dataplane->start());
  EXPECT_TRUE(eventually([&] {
    const Snapshot s = dataplane->snapshot();
    return s.ports[0].queues[0].sent > 1000 && s.ports[1].queues[0].sent > 1000;
  }));
  dataplane->stop();
  const Snapshot s = dataplane->snapshot();
  EXPECT_EQ(s.ports[1].stats.tx_packets, s.ports[0].queues[0].sent + s.ports[1].queues[0].sent);
}

TEST(Dataplane, RefusesAForwardToNowhere) {
  auto dataplane = open({.ports = {null_port("g", 1)}});
  auto status =
      dataplane->set_chain(0, fake_chain(kPortLayout, keep_all, {ActionKind::forward, 7}));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().text, "chain of port g: forward: no port 7");
}

TEST(Dataplane, SendsPacketsTrimmedToTheirVerdictAndDropsZero) {
  RingPort ring("ring_trim");
  {
    auto dataplane = open({.ports = {{.name = "ring", .device = "net_ring_ring_trim"}}});
    ASSERT_NE(dataplane, nullptr);
    ASSERT_TRUE(dataplane->set_chain(0, fake_chain(kPortLayout,
                                                   [](const bpf::PacketContext& ctx) -> uint32_t {
                                                     return ctx.data[0] == 1   ? 0
                                                            : ctx.data[0] == 2 ? 40
                                                                               : 9999;
                                                   },
                                                   {ActionKind::reflect})));
    for (uint8_t tag = 1; tag <= 3; tag++) ring.put(100, tag);
    ASSERT_TRUE(dataplane->start());
    for (const uint32_t length : {40u, 100u}) {
      rte_mbuf* packet = ring.take();
      ASSERT_NE(packet, nullptr);
      EXPECT_EQ(packet->pkt_len, length);
      EXPECT_EQ(packet->data_len, length);
      rte_pktmbuf_free(packet);
    }
    dataplane->stop();
    const QueueSnapshot queue = dataplane->snapshot().ports[0].queues[0];
    EXPECT_EQ(queue.packets, 3u);
    EXPECT_EQ(queue.dropped_verdict, 1u);
    EXPECT_EQ(queue.trimmed, 1u);
    EXPECT_EQ(queue.sent, 2u);
  }
}

TEST(Dataplane, SendsPacketsToThePortThatAProgramChooses) {
  RingPort left("ring_left");
  RingPort right("ring_right");
  {
    DataplaneSpec spec{.ports = {{.name = "left", .device = "net_ring_ring_left", .ifindex = 1},
                                 {.name = "right", .device = "net_ring_ring_right", .ifindex = 2}}};
    auto dataplane = open(spec);
    ASSERT_NE(dataplane, nullptr);
    // The first byte says where to: 0 back, 1 to the chain's action, 2 to right, 3 to a port that
    // is not there, 4 nowhere.
    ASSERT_TRUE(dataplane->set_chain(0, fake_forwarder(kPortLayout, [](bpf::PacketContext& ctx) {
                                       ctx.redirect_ifindex = ctx.data[0];
                                       if (ctx.data[0] == 0) return bpf::Step::transmit;
                                       if (ctx.data[0] == 1) return bpf::Step::next;
                                       return ctx.data[0] == 4 ? bpf::Step::drop
                                                               : bpf::Step::redirect;
                                     })));
    for (const uint8_t tag : {0, 2, 3, 2, 1, 4, 0}) left.put(60, tag);
    ASSERT_TRUE(dataplane->start());
    for (const auto& [port, tag] : {std::pair{&right, 2}, {&right, 2}, {&left, 0}, {&left, 0}}) {
      rte_mbuf* packet = port->take();
      ASSERT_NE(packet, nullptr);
      EXPECT_EQ(*rte_pktmbuf_mtod(packet, uint8_t*), tag);
      rte_pktmbuf_free(packet);
    }
    dataplane->stop();
    const QueueSnapshot queue = dataplane->snapshot().ports[0].queues[0];
    EXPECT_EQ(queue.sent, 4u);
    EXPECT_EQ(queue.dropped_redirect, 1u);
    EXPECT_EQ(queue.dropped_action, 1u);
    EXPECT_EQ(queue.dropped_verdict, 1u);
  }
  EXPECT_EQ(rte_mempool_in_use_count(EalEnvironment::pool), 0u) << "packets were lost";
}

// A packet of 300 bytes, in one segment and in three, whose program takes bytes away or adds some,
// at either end.
TEST(Dataplane, SendsWhatProgramsMadeOfPackets) {
  RingPort ring("ring_made");
  {
    auto dataplane = open({.ports = {{.name = "ring", .device = "net_ring_ring_made"}}});
    ASSERT_NE(dataplane, nullptr);
    ASSERT_TRUE(dataplane->set_chain(0, fake_forwarder(kPortLayout, [](bpf::PacketContext& ctx) {
                                       const int by = static_cast<int8_t>(ctx.data[0]);
                                       if (ctx.data - ctx.head < by ||
                                           ctx.limit - ctx.data - ctx.captured < by) {
                                         return bpf::Step::drop;
                                       }
                                       ctx.data -= by;
                                       ctx.captured += static_cast<uint32_t>(2 * by);
                                       ctx.len = ctx.captured;
                                       std::memset(ctx.data, 7, 8);
                                       ctx.data[ctx.captured - 1] = 8;
                                       return bpf::Step::transmit;
                                     })));
    ASSERT_TRUE(dataplane->start());
    for (const uint32_t segments : {1u, 3u}) {
      for (const int by : {20, -20, -120}) {
        SCOPED_TRACE(std::to_string(segments) + " segments, " + std::to_string(by));
        ring.put(300 / segments, static_cast<uint8_t>(by), segments);
        rte_mbuf* packet = ring.take();
        ASSERT_NE(packet, nullptr);
        EXPECT_EQ(packet->pkt_len, static_cast<uint32_t>(300 + 2 * by));
        EXPECT_EQ(rte_mbuf_check(packet, 1, nullptr), 0);
        uint8_t copy[512];
        const auto* bytes =
            static_cast<const uint8_t*>(rte_pktmbuf_read(packet, 0, packet->pkt_len, copy));
        ASSERT_NE(bytes, nullptr);
        EXPECT_EQ(bytes[0], 7);
        EXPECT_EQ(bytes[packet->pkt_len - 1], 8);
        rte_pktmbuf_free(packet);
      }
    }
    dataplane->stop();
  }
  EXPECT_EQ(rte_mempool_in_use_count(EalEnvironment::pool), 0u) << "packets were lost";
}

TEST(Dataplane, CountsWhatTheTransmitQueueHasNoRoomFor) {
  RingPort ring("ring_full");
  {
    auto dataplane = open({.ports = {{.name = "ring", .device = "net_ring_ring_full"}}});
    ASSERT_NE(dataplane, nullptr);
    ASSERT_TRUE(dataplane->set_chain(0, fake_chain(kPortLayout, keep_all, {ActionKind::reflect})));
    ASSERT_TRUE(dataplane->start());
    for (int i = 0; i < 1200; i++) {
      ASSERT_TRUE(eventually([&] { return rte_ring_free_count(ring.in) > 0; }));
      ring.put(60, 1);
    }
    EXPECT_TRUE(
        eventually([&] { return dataplane->snapshot().ports[0].queues[0].packets == 1200; }));
    dataplane->stop();
    const QueueSnapshot queue = dataplane->snapshot().ports[0].queues[0];
    EXPECT_EQ(queue.sent, 1023u);
    EXPECT_EQ(queue.dropped_tx_full, 177u);
    ring.drain();
  }
  EXPECT_EQ(rte_mempool_in_use_count(EalEnvironment::pool), 0u) << "packets were lost";
}

TEST(Dataplane, ShowsProgramsASegmentedPacketInOnePieceAndTrimsIt) {
  RingPort ring("ring_seg");
  {
    auto dataplane = open({.ports = {{.name = "ring", .device = "net_ring_ring_seg"}}});
    ASSERT_NE(dataplane, nullptr);
    ASSERT_TRUE(dataplane->set_chain(0, fake_chain(kPortLayout, [](const bpf::PacketContext& ctx) {
                                       EXPECT_EQ(ctx.captured, 300u);
                                       EXPECT_EQ(ctx.data[99], 10);
                                       EXPECT_EQ(ctx.data[100], 11);
                                       EXPECT_EQ(ctx.data[299], 12);
                                       return 150u;
                                     }, {ActionKind::reflect})));
    ring.put(100, 10, 3);
    ASSERT_TRUE(dataplane->start());
    rte_mbuf* packet = ring.take();
    ASSERT_NE(packet, nullptr);
    EXPECT_EQ(packet->pkt_len, 150u);
    EXPECT_EQ(packet->nb_segs, 2u);
    EXPECT_EQ(packet->next->data_len, 50u);
    EXPECT_EQ(packet->next->next, nullptr);
    rte_pktmbuf_free(packet);
  }
  EXPECT_EQ(rte_mempool_in_use_count(EalEnvironment::pool), 0u) << "segments were lost";
}

TEST(Dataplane, SleepsWhenIdle) {
  RingPort ring("ring_idle");
  auto dataplane = open({.ports = {{.name = "ring", .device = "net_ring_ring_idle"}}});
  ASSERT_NE(dataplane, nullptr);
  ASSERT_TRUE(dataplane->start());
  usleep(300'000);
  const WorkerSnapshot worker = dataplane->snapshot().workers[0];
  EXPECT_GT(worker.sleeps, 50u);
  EXPECT_LT(worker.iterations, 5000u);
}

TEST(TrimPacket, KeepsExactlyTheFirstBytes) {
  for (uint32_t length = 1; length <= 300; length++) {
    rte_mbuf* packet = RingPort::make(100, 1, 3);
    ASSERT_NE(packet, nullptr);
    trim_packet(packet, length);
    EXPECT_EQ(packet->pkt_len, length);
    EXPECT_EQ(packet->nb_segs, (length + 99) / 100);
    EXPECT_EQ(rte_mbuf_check(packet, 1, nullptr), 0) << length;
    rte_pktmbuf_free(packet);
  }
  EXPECT_EQ(rte_mempool_in_use_count(EalEnvironment::pool), 0u);
}

}  // namespace
}  // namespace sluice::dataplane
