// make bench: ns a packet of three programs, beside rte_bpf's JIT, libpcap's interpreter and native code in the same run.
// Writes bench.json into the working directory. Objects are sought in bpf/programs there.
#include <rte_eal.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "bpf/loader/loader.hpp"
#include "tests/bench/measure.hpp"
#include "tests/bench/native.hpp"
#include "tests/bench/sluice_side.hpp"

namespace sluice::bench {
namespace {

constexpr uint32_t kPackets = 512;
constexpr uint32_t kFlows = 512;
// The first has a native contestant too: native.hpp has it by hand.
constexpr const char* kNativeExpression = "tcp port 80";
constexpr const char* kExpressions[] = {kNativeExpression, "udp port 53", "ip and not icmp and net 10.0.0.0/8"};
using Verdicts = std::vector<uint32_t>;

class NativeFilter : public FilterPeer {
 public:
  explicit NativeFilter(const std::vector<Frame>& frames) : frames_(frames) {}
  void run(uint32_t* verdicts) override {
    for (size_t i = 0; i < frames_.size(); i++) {
      verdicts[i] = native_tcp_port_80(frames_[i].data, frames_[i].length) ? frames_[i].length : 0;
    }
  }

 private:
  const std::vector<Frame>& frames_;
};

Verdicts verdicts_of(const Contestant& contestant, Verdicts& shared) {
  std::fill(shared.begin(), shared.end(), 12345u);
  contestant.pass();
  Verdicts result;
  for (const uint32_t verdict : shared) result.push_back(verdict != 0 ? 1 : 0);
  return result;
}

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "sluice_bench: %s\n", why.c_str());
  std::exit(1);
}

// Compares what the contestants decide, then times them.
Row row(const char* kind, const char* name, const std::vector<Contestant>& contestants, Verdicts& shared) {
  const Verdicts expected = verdicts_of(contestants[0], shared);
  for (const auto& contestant : contestants) {
    if (verdicts_of(contestant, shared) != expected) give_up(std::string(name) + ": sluice and " + contestant.name + " differ");
  }
  Row made{kind, name, {}, measure(contestants, kPackets), {}};
  for (const auto& contestant : contestants) made.contestants.push_back(contestant.name);
  return made;
}

Row filter_row(bpf::BpfSurface& surface, const Traffic& traffic, const char* expression) {
  auto loaded = bpf::load_filter(surface, "bench", expression);
  if (!loaded) give_up(loaded.error().text);
  auto ours = Sluice::make(loaded->program, traffic);
  if (!ours) give_up(ours.error().text);
  Verdicts shared(kPackets);
  NativeFilter native(traffic.frames);
  auto pcap = make_libpcap_peer(expression, traffic.frames);
  std::string why;
  auto rte = make_rte_bpf_peer(expression, traffic.frames, &why);
  std::vector<Contestant> contestants{{"sluice", [&] { (*ours)->run(shared.data()); }}};
  if (std::string(expression) == kNativeExpression) contestants.push_back({"native", [&] { native.run(shared.data()); }});
  if (rte != nullptr) contestants.push_back({"rte_bpf", [&] { rte->run(shared.data()); }});
  if (pcap != nullptr) contestants.push_back({"libpcap", [&] { pcap->run(shared.data()); }});
  Row made = row("filter", expression, contestants, shared);
  if (rte == nullptr) made.absent.push_back("rte_bpf: " + why);
  return made;
}

Row object_row(bpf::BpfSurface& surface, const Traffic& traffic, const char* name, const char* object) {
  auto loaded = bpf::load_object(surface, {name, std::string("bpf/programs/") + object, ""});
  if (!loaded) give_up(loaded.error().text);
  auto ours = Sluice::make(loaded->program, traffic);
  if (!ours) give_up(ours.error().text);
  Verdicts shared(kPackets);
  Row made = row("program", name, {{"sluice", [&] { (*ours)->run(shared.data()); }}}, shared);
  made.absent.push_back("rte_bpf: its programs have no maps of ours and no bpf_skb_load_bytes");
  made.absent.push_back("libpcap: classic BPF has no maps");
  return made;
}

int run() {
  const char* eal[] = {"sluice_bench", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "-m", "64",
                       "--log-level=error", "--file-prefix=sluice_bench", "-l", "0"};
  if (rte_eal_init(static_cast<int>(std::size(eal)), const_cast<char**>(eal)) < 0) give_up("rte_eal_init failed");
  bpf::BpfSurface surface;
  const Traffic traffic(kPackets, kFlows);
  std::vector<Row> rows;
  for (const char* expression : kExpressions) rows.push_back(filter_row(surface, traffic, expression));
  rows.push_back(object_row(surface, traffic, "protocol count", "proto_count.bpf.o"));
  rows.push_back(object_row(surface, traffic, "flow count", "flow_count.bpf.o"));
  for (const auto& made : rows) print(made);
  if (!write_json("bench.json", rows)) give_up("bench.json cannot be written");
  rte_eal_cleanup();
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main() { return sluice::bench::run(); }
