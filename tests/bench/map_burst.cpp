// Kinds `map_lookup_burst` and `map_update_burst`: one operation a packet, which is its key, so
// that a burst has 32 in hand.
#include <linux/bpf.h>

#include <cstring>

#include "base/limits.hpp"
#include "tests/bench/map_tables.hpp"
#include "tests/bench/traffic.hpp"

namespace sluice::bench {
namespace {

constexpr uint32_t kKeyLine = 64;  // distance of keys that are packets

// A program of map_burst.bpf.c on a full table, and packets of half the ring's keys.
class Bursts {
 public:
  Bursts(Tables& tables, const std::string& flags, bool hits)
      : count_(tables.half()),
        memory_(size_t{count_} * kKeyLine),
        packets_(count_),
        verdicts_(count_) {
    auto loaded =
        bpf::load_object(tables.bench().surface, {"burst", tables.burst_object(flags), ""});
    if (!loaded) give_up(loaded.error().text);
    loaded_ = std::move(*loaded);
    const uint32_t key_size = tables.shape().key_size;
    const uint64_t one = 1;
    for (uint32_t i = 0; i < tables.shape().entries; i++) {
      const uint8_t* key = tables.ring(0) + size_t{i} * key_size;
      Tables::check(loaded_.maps.at("table")->update(key, &one, BPF_ANY));
    }
    for (uint32_t i = 0; i < count_; i++) {
      uint8_t* key = memory_.data() + size_t{i} * kKeyLine;
      std::memcpy(key, tables.ring(hits ? i : count_ + i), key_size);
      packets_[i] = {.buffer = key, .captured = kKeyLine, .wire_length = kKeyLine};
      places_.push_back(&packets_[i]);
      keys_.push_back(key);
    }
    auto runner = Runner::make(loaded_.program, bpf::kLinearLayout, places_);
    if (!runner) give_up(runner.error().text);
    runner_ = std::move(*runner);
    run();
    if (runner_->counters().passed != (hits ? count_ : 0))
      give_up(tables.name() + ": wrong results in bursts");
  }

  void run() { runner_->run(verdicts_.data()); }
  [[nodiscard]] const std::vector<const uint8_t*>& keys() const { return keys_; }

 private:
  uint32_t count_;
  HugeMemory memory_;
  std::vector<bpf::LinearPacket> packets_;
  std::vector<void*> places_;
  std::vector<const uint8_t*> keys_;
  std::vector<uint32_t> verdicts_;
  bpf::LoadedProgram loaded_;
  std::unique_ptr<Runner> runner_;
};

}  // namespace

void lookup_burst_row(Tables& tables, bool hits) {
  const Effort& effort = tables.bench().effort;
  Bursts bursts(tables, "", hits);
  const uint32_t count = tables.half();
  uint64_t sink = 0;
  const std::vector<Contestant> contestants{timed("sluice", effort, count, [&] { bursts.run(); }),
                                            timed("rte_hash_bulk", effort, count, [&] {
                                              for (uint32_t i = 0; i < count; i += kBurst)
                                                sink += tables.rte()->lookup_bulk(
                                                    bursts.keys().data() + i, kBurst);
                                            })};
  report({"map_lookup_burst",
          tables.name() + (hits ? ", hit" : ", miss"),
          "ns/lookup",
          measure(effort, contestants),
          {},
          ""});
}

// rte_hash has no call for several.
void update_burst_row(Tables& tables) {
  const Effort& effort = tables.bench().effort;
  Bursts bursts(tables, " -DUPDATE", true);
  const uint32_t count = tables.half();
  const std::vector<Contestant> contestants{
      timed("sluice", effort, count, [&] { bursts.run(); }), timed("rte_hash", effort, count, [&] {
        if (tables.rte()->insert(tables.ring(0), count) != count)
          give_up(tables.name() + ": rte_hash does not overwrite");
      })};
  report({"map_update_burst",
          tables.name() + ", overwrite",
          "ns/update",
          measure(effort, contestants),
          {},
          ""});
}

}  // namespace sluice::bench
