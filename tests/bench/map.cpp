// Kinds `map_lookup` and `map_update`: maps driven by a BPF program, as they are in use, one
// operation after the other. The same object runs in the kernel; rte_hash is called in a loop over
// the same keys.
#include <algorithm>
#include <cstring>

#include "tests/bench/map_tables.hpp"

namespace sluice::bench {
namespace {

constexpr uint32_t kLinuxRuns = 200;

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
  const uint32_t ring = 2 * tables.half() / kStep;      // batches
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

}  // namespace

void bench_map_lookup(Bench& bench) {
  for (const Shape& shape : kShapes) {
    if (!wanted(bench, shape)) continue;
    Tables tables(bench, shape);
    if (!tables.load("map_lookup")) continue;
    tables.fill();
    for (const bool hits : {true, false}) {
      lookup_row(tables, hits);
      if (shape.hash) lookup_burst_row(tables, hits);
    }
    if (shape.hash) update_burst_row(tables);
  }
}

void bench_map_update(Bench& bench) {
  for (const Shape& shape : kShapes) {
    if (!wanted(bench, shape) || shape.entries < 65536 || std::strstr(shape.type, "LPM") != nullptr)
      continue;
    Tables tables(bench, shape);
    if (!tables.load("map_update")) continue;
    for (const Update& update : kUpdates) update_row(tables, update);
    churn_row(tables);
  }
}

}  // namespace sluice::bench
