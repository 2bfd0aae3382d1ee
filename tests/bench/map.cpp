// Kinds `map_lookup`, `map_lookup_burst` and `map_update`: maps driven by a BPF program, as they
// are in use. The same object runs in the kernel; rte_hash is called in a loop over the same keys.
#include <linux/bpf.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "base/limits.hpp"
#include "bpf/loader/loader.hpp"
#include "tests/bench/kinds.hpp"
#include "tests/bench/linux_peer.hpp"
#include "tests/bench/rte_hash_peer.hpp"
#include "tests/bench/runner.hpp"
#include "tests/bench/traffic.hpp"

namespace sluice::bench {
namespace {

constexpr uint32_t kStep = 128;            // operations of one run of map_loop.bpf.c
constexpr uint32_t kRingMost = 1u << 20;   // keys that take part, hits and as many misses
constexpr uint32_t kLinuxRuns = 200;
constexpr uint32_t kKeyLine = 64;          // distance of keys that are packets

enum Op : uint32_t { kLookup, kInsert, kOverwrite, kDelete, kChurn };
struct State {
  uint32_t first, mask, at, op, ahead;
};

struct Shape {
  const char* type;  // enum bpf_map_type
  const char* name;
  uint32_t key_size;
  uint32_t entries;
  bool full_only;
  bool hash;  // rte_hash can do it
};
constexpr Shape kShapes[] = {
    {"BPF_MAP_TYPE_HASH", "hash", 4, 1024, false, true},
    {"BPF_MAP_TYPE_HASH", "hash", 8, 1024, false, true},
    {"BPF_MAP_TYPE_HASH", "hash", 20, 1024, false, true},
    {"BPF_MAP_TYPE_HASH", "hash", 40, 1024, false, true},
    {"BPF_MAP_TYPE_HASH", "hash", 4, 65536, false, true},
    {"BPF_MAP_TYPE_HASH", "hash", 8, 65536, false, true},
    {"BPF_MAP_TYPE_HASH", "hash", 20, 65536, false, true},
    {"BPF_MAP_TYPE_HASH", "hash", 40, 65536, false, true},
    {"BPF_MAP_TYPE_HASH", "hash", 4, 4194304, true, true},
    {"BPF_MAP_TYPE_HASH", "hash", 8, 4194304, true, true},
    {"BPF_MAP_TYPE_HASH", "hash", 20, 4194304, true, true},
    {"BPF_MAP_TYPE_HASH", "hash", 40, 4194304, true, true},
    {"BPF_MAP_TYPE_LRU_HASH", "LRU", 20, 65536, false, false},
    {"BPF_MAP_TYPE_LPM_TRIE", "LPM", 8, 1048576, true, false},
    {"BPF_MAP_TYPE_LPM_TRIE", "LPM", 8, 65536, false, false},
};

std::string thousands(uint32_t count) {
  return count >= 1u << 20 ? std::to_string(count >> 20) + " M"
                           : std::to_string(count >> 10) + " K";
}

// Keys that are in the table, then as many that are not. Random, distinct by construction of their
// first word.
class Keys {
 public:
  Keys(const Shape& shape, bool prefixes)
      : size_(shape.key_size), bytes_(size_t{shape.entries} * 2 * shape.key_size) {
    std::mt19937_64 random(11);
    const uint32_t count = shape.entries * 2;
    for (uint32_t i = 0; i < count; i++) {
      uint8_t* key = at(i);
      for (uint32_t j = 0; j < size_; j++) key[j] = static_cast<uint8_t>(random());
      const uint32_t number = i * 2654435761u;  // odd, so that it is a permutation
      std::memcpy(key, &number, 4);
      if (prefixes) make_prefix(key, number);
    }
  }
  [[nodiscard]] uint8_t* at(uint32_t i) { return bytes_.data() + size_t{i} * size_; }

 private:
  // A route table's lengths: mostly /24, some shorter, some host routes.
  static void make_prefix(uint8_t* key, uint32_t number) {
    const uint32_t length = number % 16 == 0 ? 32 : number % 5 == 0 ? 16 + number % 8 : 24;
    const uint32_t address =
        __builtin_bswap32(length == 32 ? number : number & ~0u << (32 - length));
    std::memcpy(key, &length, 4);
    std::memcpy(key + 4, &address, 4);
  }
  uint32_t size_;
  std::vector<uint8_t> bytes_;
};

// A shape's maps in all contestants, filled alike.
class Tables {
 public:
  Tables(Bench& bench, const Shape& shape, const std::string& name)
      : bench_(bench),
        shape_(shape),
        name_(name),
        prefixes_(std::strstr(shape.type, "LPM") != nullptr),
        keys_(shape, prefixes_),
        half_(std::min(kRingMost, shape.entries)) {
    const std::string flags =
        std::string("-DMAP_TYPE=") + shape.type + " -DKEY_SIZE=" + std::to_string(shape.key_size) +
        " -DENTRIES=" + std::to_string(shape.entries) + " -DSTEP=" + std::to_string(kStep) +
        " -DBATCHES=" + std::to_string(2 * half_ / kStep) + (prefixes_ ? " -DLPM" : "");
    auto object = bench.workshop.bpf_object("tests/bench/programs/map_loop.bpf.c", flags);
    if (!object) give_up(object.error().text);
    object_ = *object;
    auto burst = bench.workshop.bpf_object("tests/bench/programs/map_burst.bpf.c", flags);
    if (!burst) give_up(burst.error().text);
    burst_object_ = *burst;
  }

  // False: sluice cannot do it, and the row says why.
  bool load(const char* kind) {
    auto loaded = bpf::load_object(bench_.surface, {"map", object_, ""});
    if (!loaded)
      return report_missing(kind, name_,
                            loaded.error().text.substr(0, loaded.error().text.find('\n'))),
             false;
    loaded_ = std::move(*loaded);
    for (uint32_t i = 0; i < 32; i++) packets_.push_back(&packet_);
    auto runner = Runner::make(loaded_.program, bpf::kLinearLayout, packets_);
    if (!runner) return report_missing(kind, name_, runner.error().text), false;
    runner_ = std::move(*runner);
    if (shape_.hash) rte_ = RteHash::make(shape_.entries, shape_.key_size, &rte_why_);
    auto peer = make_linux_peer(object_, "map_loop", BPF_PROG_TYPE_SCHED_CLS);
    if (peer) linux_ = std::move(*peer);
    if (!peer) linux_why_ = peer.error().text;
    for (uint32_t batch = 0; batch < 2 * half_ / kStep; batch++) {
      check(loaded_.maps.at("ring")->update(&batch, ring(batch * kStep), BPF_ANY));
      if (linux_ != nullptr) check(linux_->update("ring", &batch, ring(batch * kStep)));
    }
    return true;
  }

  // All elements in, each value 1.
  void fill() {
    const uint64_t one = 1;
    for (uint32_t i = 0; i < shape_.entries; i++)
      check(loaded_.maps.at("table")->update(keys_.at(i), &one, BPF_ANY));
    if (rte_ != nullptr) rte_->insert(keys_.at(0), shape_.entries);
    const std::vector<uint64_t> ones(shape_.entries, 1);
    if (linux_ != nullptr)
      check(linux_->update_batch("table", keys_.at(0), ones.data(), shape_.entries));
  }

  // Batches [first, first + count) of the ring, count a power of two, by the next runs.
  void set(uint32_t first, uint32_t count, Op op, uint32_t ahead = 0) {
    const State state{first, count - 1, 0, op, ahead};
    const uint32_t zero = 0;
    check(loaded_.maps.at("states")->update(&zero, &state, BPF_ANY));
    if (linux_ != nullptr) check(linux_->update("states", &zero, &state));
  }

  // `runs` of the program; the sum of what they returned.
  uint64_t run_sluice(uint32_t runs) {
    uint64_t sum = 0;
    for (uint32_t done = 0; done < runs; done += 32) {
      runner_->run(verdicts_);
      for (uint32_t i = 0; i < 32; i++) sum += verdicts_[i];
    }
    return sum;
  }
  double run_linux(uint32_t runs, uint32_t* retval = nullptr) {
    auto run = linux_->run({frame_, sizeof frame_}, runs);
    if (!run) give_up(run.error().text);
    if (retval != nullptr) *retval = run->retval;
    return run->ns / kStep;
  }

  // `runs` of the same in the table of each contestant that runs the program.
  void run_all(uint32_t first, uint32_t count, Op op, uint32_t runs) {
    set(first, count, op);
    (void)run_sluice(runs);
    if (linux_ != nullptr) (void)run_linux(runs);
  }

  static void check(int error) {
    if (error != 0) give_up(std::string("map: ") + std::strerror(-error));
  }
  static void check(const Status& status) {
    if (!status) give_up("map: " + status.error().text);
  }

  [[nodiscard]] uint32_t half() const { return half_; }
  [[nodiscard]] uint8_t* ring(uint32_t i) {
    return i < half_ ? keys_.at(i) : keys_.at(shape_.entries + i - half_);
  }
  [[nodiscard]] RteHash* rte() const { return rte_.get(); }
  [[nodiscard]] LinuxPeer* linux_peer() const { return linux_.get(); }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] const std::string& burst_object() const { return burst_object_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Bench& bench() const { return bench_; }

  std::vector<std::string> absent() const {
    std::vector<std::string> reasons;
    if (rte_ == nullptr)
      reasons.push_back("rte_hash: " + (shape_.hash ? rte_why_ : std::string("has no such table")));
    if (linux_ == nullptr) reasons.push_back("linux: " + linux_why_);
    return reasons;
  }

 private:
  Bench& bench_;
  const Shape& shape_;
  std::string name_;
  bool prefixes_;
  Keys keys_;
  uint32_t half_;  // of the ring: keys that are in, then keys that are not
  std::string object_;
  std::string burst_object_;
  bpf::LoadedProgram loaded_;
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<RteHash> rte_;
  std::unique_ptr<LinuxPeer> linux_;
  std::string rte_why_;
  std::string linux_why_;
  // A run counts nothing of its packet but its length, which bounds the verdict: one so long that
  // no sum is cut.
  uint8_t frame_[64] = {};
  bpf::LinearPacket packet_{.buffer = frame_, .captured = 1u << 17, .wire_length = 1u << 17};
  std::vector<void*> packets_;
  uint32_t verdicts_[32] = {};
};

// Hits or misses, one key after the other.
void lookup_row(Tables& tables, bool hits) {
  Bench& bench = tables.bench();
  const uint32_t batches = tables.half() / kStep;
  const uint32_t keys = tables.half();
  tables.set(hits ? 0 : batches, batches, kLookup);
  const auto first = [&, keys] { return tables.ring(hits ? 0 : keys); };
  const uint64_t expected = tables.run_sluice(std::max(32u, batches));
  if (tables.shape().hash && expected != (hits ? std::max(32u, batches) * kStep : 0))
    give_up(tables.name() + ": wrong lookups");
  std::vector<Contestant> contestants{
      timed("sluice", bench.effort, 32.0 * kStep, [&] { (void)tables.run_sluice(32); })};
  uint64_t sink = 0;
  uint32_t at = 0;
  if (tables.rte() != nullptr) {
    if (tables.rte()->lookup(first(), keys) != (hits ? keys : 0))
      give_up(tables.name() + ": rte_hash differs");
    contestants.push_back(timed("rte_hash", bench.effort, kStep, [&] {
      sink += tables.rte()->lookup(first() + size_t{at} * tables.shape().key_size, kStep);
      at = (at + kStep) % keys;
    }));
  }
  if (tables.linux_peer() != nullptr) {
    uint32_t retval = 0;
    tables.run_linux(1, &retval);
    if (tables.shape().hash && retval != (hits ? kStep : 0))
      give_up(tables.name() + ": linux differs");
    contestants.push_back({"linux", [&] { return tables.run_linux(kLinuxRuns); }});
  }
  const std::string group = tables.shape().hash ? "hash" : "";
  report({"map_lookup", tables.name() + (hits ? ", hit" : ", miss"), "ns/lookup",
          measure(bench.effort, contestants), tables.absent(), group});
}

// A burst of packets, each a key.
void burst_row(Tables& tables, bool hits) {
  Bench& bench = tables.bench();
  auto loaded = bpf::load_object(bench.surface, {"burst", tables.burst_object(), ""});
  if (!loaded) give_up(loaded.error().text);
  const uint64_t one = 1;
  for (uint32_t i = 0; i < tables.shape().entries; i++) {
    Tables::check(loaded->maps.at("table")->update(
        tables.ring(0) + size_t{i} * tables.shape().key_size, &one, BPF_ANY));
  }
  const uint32_t count = tables.half();
  HugeMemory memory(size_t{count} * kKeyLine);
  std::vector<bpf::LinearPacket> packets(count);
  std::vector<void*> places;
  std::vector<const uint8_t*> keys;
  for (uint32_t i = 0; i < count; i++) {
    uint8_t* key = memory.data() + size_t{i} * kKeyLine;
    std::memcpy(key, tables.ring(hits ? i : count + i), tables.shape().key_size);
    packets[i] = {.buffer = key, .captured = kKeyLine, .wire_length = kKeyLine};
    places.push_back(&packets[i]);
    keys.push_back(key);
  }
  auto runner = Runner::make(loaded->program, bpf::kLinearLayout, places);
  if (!runner) give_up(runner.error().text);
  std::vector<uint32_t> verdicts(count);
  (*runner)->run(verdicts.data());
  if ((*runner)->counters().passed != (hits ? count : 0))
    give_up(tables.name() + ": wrong lookups in bursts");
  std::vector<Contestant> contestants{
      timed("sluice", bench.effort, count, [&] { (*runner)->run(verdicts.data()); })};
  uint64_t sink = 0;
  contestants.push_back(timed("rte_hash_bulk", bench.effort, count, [&] {
    for (uint32_t i = 0; i < count; i += kBurst)
      sink += tables.rte()->lookup_bulk(keys.data() + i, kBurst);
  }));
  report({"map_lookup_burst",
          tables.name() + (hits ? ", hit" : ", miss"),
          "ns/lookup",
          measure(bench.effort, contestants),
          {},
          ""});
}

struct Update {
  const char* name;
  Op before;  // what makes the table ready for a pass
  Op op;
};
constexpr Update kUpdates[] = {{"insert", kDelete, kInsert},
                               {"overwrite", kOverwrite, kOverwrite},
                               {"delete", kOverwrite, kDelete}};

// Every key of the ring's first half once a pass.
void update_row(Tables& tables, const Update& update) {
  Bench& bench = tables.bench();
  const uint32_t batches = tables.half() / kStep;
  const double operations = tables.half();
  const auto rte = [&](Op op) {
    return op == kDelete ? tables.rte()->erase(tables.ring(0), tables.half())
                         : tables.rte()->insert(tables.ring(0), tables.half());
  };
  std::vector<Contestant> contestants{prepared(
      "sluice", operations,
      [&] {
        tables.set(0, batches, update.before);
        (void)tables.run_sluice(batches);
        tables.set(0, batches, update.op);
      },
      [&] {
        if (tables.run_sluice(batches) != operations)
          give_up(tables.name() + ": sluice does not " + update.name);
      })};
  if (tables.rte() != nullptr) {
    contestants.push_back(prepared(
        "rte_hash", operations, [&] { (void)rte(update.before); },
        [&] {
          if (rte(update.op) != operations)
            give_up(tables.name() + ": rte_hash does not " + update.name);
        }));
  }
  if (tables.linux_peer() != nullptr) {
    contestants.push_back({"linux", [&] {
                             tables.set(0, batches, update.before);
                             (void)tables.run_linux(batches);
                             tables.set(0, batches, update.op);
                             return tables.run_linux(batches);
                           }});
  }
  report({"map_update", tables.name() + ", " + update.name, "ns/update",
          measure(bench.effort, contestants), tables.absent(), ""});
}

// One key goes, another comes, in a table that is 95 % full; the window of keys that are in it
// moves along the ring.
void churn_row(Tables& tables) {
  Bench& bench = tables.bench();
  const uint32_t ring = 2 * tables.half() / kStep;  // batches
  const uint32_t full = ring / 2 * 95 / 100 / 32 * 32;  // whole bursts
  tables.run_all(0, ring, kDelete, ring);
  tables.run_all(0, ring, kOverwrite, full);
  tables.set(0, ring, kChurn, full);
  constexpr uint32_t kPairs = 2 * kStep;
  std::vector<Contestant> contestants{timed("sluice", bench.effort, 32.0 * kPairs, [&] {
    if (tables.run_sluice(32) != 32 * kPairs) give_up(tables.name() + ": sluice does not churn");
  })};
  uint32_t at = 0;
  if (tables.rte() != nullptr) {
    (void)tables.rte()->erase(tables.ring(0), tables.half());
    for (uint32_t batch = 0; batch < full; batch++)
      (void)tables.rte()->insert(tables.ring(batch * kStep), kStep);
    contestants.push_back(timed("rte_hash", bench.effort, kPairs, [&] {
      const uint8_t* going = tables.ring(at * kStep);
      const uint8_t* coming = tables.ring((at + full) % ring * kStep);
      uint64_t done = 0;
      for (uint32_t i = 0; i < kStep;
           i++, going += tables.shape().key_size, coming += tables.shape().key_size) {
        done += tables.rte()->erase(going, 1) + tables.rte()->insert(coming, 1);
      }
      at = (at + 1) % ring;
      if (done != kPairs) give_up(tables.name() + ": rte_hash does not churn");
    }));
  }
  if (tables.linux_peer() != nullptr) {
    contestants.push_back({"linux", [&] {
                             uint32_t retval = 0;
                             const double ns = tables.run_linux(kLinuxRuns, &retval) / 2;
                             if (retval != kPairs)
                               give_up(tables.name() + ": linux does not churn");
                             return ns;
                           }});
  }
  report({"map_update", tables.name() + ", churn", "ns/update", measure(bench.effort, contestants),
          tables.absent(), ""});
}

bool wanted(const Bench& bench, const Shape& shape) {
  return bench.effort.full || !shape.full_only;
}

std::string name_of(const Shape& shape) {
  return std::string(shape.name) + " of " + thousands(shape.entries) + ", " +
         std::to_string(shape.key_size) + "-byte keys";
}

}  // namespace

void bench_map_lookup(Bench& bench) {
  for (const Shape& shape : kShapes) {
    if (!wanted(bench, shape)) continue;
    Tables tables(bench, shape, name_of(shape));
    if (!tables.load("map_lookup")) continue;
    tables.fill();
    for (const bool hits : {true, false}) {
      lookup_row(tables, hits);
      if (shape.hash) burst_row(tables, hits);
    }
  }
}

void bench_map_update(Bench& bench) {
  for (const Shape& shape : kShapes) {
    if (!wanted(bench, shape) || shape.entries < 65536 || std::strstr(shape.type, "LPM") != nullptr)
      continue;
    Tables tables(bench, shape, name_of(shape));
    if (!tables.load("map_update")) continue;
    for (const Update& update : kUpdates) update_row(tables, update);
    churn_row(tables);
  }
}

}  // namespace sluice::bench
