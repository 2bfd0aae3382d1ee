// Kinds `filter` (packets hot, context ready) and `filter_mbuf` (the same from rte_mbufs, as a
// worker sees them).
#include <algorithm>

#include "base/limits.hpp"
#include "bpf/loader/loader.hpp"
#include "dataplane/mbuf_layout.hpp"
#include "tests/bench/kinds.hpp"
#include "tests/bench/peers.hpp"
#include "tests/bench/runner.hpp"
#include "tests/bench/traffic.hpp"

namespace sluice::bench {
namespace {

constexpr uint32_t kPackets = 512;
constexpr uint32_t kFlows = 512;

constexpr const char* kExpressions[] = {
    "ip",
    "ip6",
    "arp or icmp",
    "tcp port 80",
    "udp port 53",
    "vlan",
    "port 443",
    "greater 500",
    "ip host 192.168.0.7",
    "tcp[tcpflags] & tcp-syn != 0",
    "ip and not icmp and net 10.0.0.0/8",
    "src net 10.0.0.0/8 and dst net 192.168.0.0/16",
    "tcp portrange 1000-2000",
    "tcp port 80 or tcp port 443 or udp port 53",
    "ip[6:2] & 0x1fff = 0 and tcp and dst port 22",
    "ip and (tcp or udp) and dst port 8080 and src net 10.0.0.0/12",
    "not (tcp port 22 or tcp port 25 or udp port 123)",
    "tcp port 80 and (((ip[2:2] - ((ip[0] & 0xf) << 2)) - ((tcp[12] & 0xf0) >> 2)) != 0)",
    "host 192.168.0.1 or host 192.168.0.2 or host 192.168.0.3 or host 192.168.0.4",
    "(tcp dst port 80 or 443 or 8080 or 25 or 22) and not net 10.8.0.0/16 and not net "
    "172.16.0.0/12 and less 1000",
};
using Verdicts = std::vector<uint32_t>;
using NativeBurst = void (*)(void* const*, uint32_t, uint32_t*);

struct Filter {
  const char* expression;
  bpf::LoadedProgram loaded;
  Verdicts verdicts = Verdicts(kPackets);
};

// Contestants of a row, with what they decided at first: all must agree before any is timed.
class Contest {
 public:
  Contest(const Effort& effort, Filter& filter) : effort_(effort), filter_(filter) {}

  void add(const char* name, const std::function<void()>& pass) {
    const uint32_t differing = difference(pass);
    if (differing != 0)
      give_up(std::string(filter_.expression) + ": sluice and " + name + " differ");
    contestants_.push_back(timed(name, effort_, kPackets, pass));
  }
  // rte_bpf's conversion is wrong for some expressions. libpcap, whose expressions they are, is the
  // judge: it must agree with sluice in the same row.
  void add_rte_bpf(Row& row, FilterPeer* peer, const std::string& refusal) {
    if (peer == nullptr) return row.absent.push_back("rte_bpf: " + refusal);
    const auto pass = [this, peer] { peer->run(filter_.verdicts.data()); };
    const uint32_t differing = difference(pass);
    if (differing == 0) return contestants_.push_back(timed("rte_bpf", effort_, kPackets, pass));
    row.absent.push_back("rte_bpf: decides " + std::to_string(differing) + " of " +
                         std::to_string(kPackets) + " packets otherwise than libpcap");
  }
  std::vector<Value> measure() { return bench::measure(effort_, contestants_); }

 private:
  // Packets that the pass decides otherwise than the first contestant.
  uint32_t difference(const std::function<void()>& pass) {
    std::fill(filter_.verdicts.begin(), filter_.verdicts.end(), 12345u);
    pass();
    Verdicts passed;
    for (const uint32_t verdict : filter_.verdicts) passed.push_back(verdict != 0);
    if (contestants_.empty()) expected_ = passed;
    uint32_t differing = 0;
    for (uint32_t i = 0; i < kPackets; i++) differing += passed[i] != expected_[i];
    return differing;
  }

  const Effort& effort_;
  Filter& filter_;
  Verdicts expected_;
  std::vector<Contestant> contestants_;
};

std::unique_ptr<Runner> make_runner(const Filter& filter, const bpf::PacketLayout& layout,
                                    const std::vector<void*>& packets) {
  auto runner = Runner::make(filter.loaded.program, layout, packets);
  if (!runner) give_up(std::move(runner.error()).in(filter.expression).text);
  return std::move(*runner);
}

void context_row(Bench& bench, const Traffic& traffic, const Mbufs& mbufs, Filter& filter) {
  uint32_t* verdicts = filter.verdicts.data();
  const auto ours = make_runner(filter, bpf::kLinearLayout, traffic.packets);
  Contest contest(bench.effort, filter);
  contest.add("sluice", [&] { ours->run(verdicts); });
  Row row{"filter", filter.expression, "ns/packet", {}, {}};

  const auto code =
      bench.workshop.native_code(print_native_filter(compile_expression(filter.expression)), "c");
  if (!code) give_up(code.error().text);
  const auto native = reinterpret_cast<NativeBurst>(*code);
  contest.add("native", [&] {
    for (uint32_t i = 0; i < kPackets; i += kBurst)
      native(traffic.packets.data() + i, kBurst, verdicts + i);
  });
  std::string why;
  const auto rte = make_rte_bpf_peer(filter.expression, mbufs, &why);
  contest.add_rte_bpf(row, rte.get(), why);
  const auto pcap = make_libpcap_peer(filter.expression, traffic.frames);
  contest.add("libpcap", [&] { pcap->run(verdicts); });
  row.values = contest.measure();
  report(row);
}

void mbuf_row(Bench& bench, const Mbufs& mbufs, Filter& filter) {
  const auto ours = make_runner(filter, dataplane::kPortLayout, mbufs.packets());
  Contest contest(bench.effort, filter);
  contest.add("sluice", [&] { ours->run(filter.verdicts.data()); });
  Row row{"filter_mbuf", filter.expression, "ns/packet", {}, {}};
  std::string why;
  const auto rte = make_rte_bpf_peer(filter.expression, mbufs, &why);
  contest.add_rte_bpf(row, rte.get(), why);
  row.values = contest.measure();
  report(row);
}

}  // namespace

void bench_filter(Bench& bench) {
  const Traffic traffic(kPackets, kFlows);
  const auto mbufs = make_mbufs(traffic.frames);
  for (const char* expression : kExpressions) {
    auto loaded = bpf::load_filter(bench.surface, "bench", expression);
    if (!loaded) give_up(loaded.error().text);
    Filter filter{expression, std::move(*loaded)};
    context_row(bench, traffic, *mbufs, filter);
    mbuf_row(bench, *mbufs, filter);
  }
}

}  // namespace sluice::bench
