// A shape of map in all contestants, filled alike: what the kinds of map benchmark time. One
// thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bpf/loader/loader.hpp"
#include "tests/bench/kinds.hpp"
#include "tests/bench/linux_peer.hpp"
#include "tests/bench/rte_hash_peer.hpp"
#include "tests/bench/runner.hpp"

namespace sluice::bench {

inline constexpr uint32_t kStep = 128;  // operations of one run of map_loop.bpf.c

// What map_loop.bpf.c does, as its enum has it.
enum Op : uint32_t { kLookup, kInsert, kOverwrite, kDelete, kChurn };

struct Shape {
  const char* type;  // enum bpf_map_type
  const char* name;
  uint32_t key_size;
  uint32_t entries;
  bool full_only;
  bool hash;  // rte_hash can do it
};

// Keys that are in the table, then as many that are not. Random, distinct by construction of their
// first word.
class Keys {
 public:
  Keys(const Shape& shape, bool prefixes);
  [[nodiscard]] uint8_t* at(uint32_t i) { return bytes_.data() + size_t{i} * size_; }

 private:
  static void make_prefix(uint8_t* key, uint32_t number);

  uint32_t size_;
  std::vector<uint8_t> bytes_;
};

// A mistake of a contestant's ends the process (give_up).
class Tables {
 public:
  Tables(Bench& bench, const Shape& shape);

  // False: sluice cannot do it, and the row says why.
  bool load(const char* kind);
  // All elements in, each value 1.
  void fill();
  // The next runs take batches [first, first + count) of the ring, count a power of two.
  void set(uint32_t first, uint32_t count, Op op, uint32_t ahead = 0);
  // `runs` of the program; the sum of what they returned, or the time of an operation in ns.
  uint64_t run_sluice(uint32_t runs);
  double run_linux(uint32_t runs, uint32_t* retval = nullptr);
  // set(), and `runs` in each contestant that runs the program.
  void run_all(uint32_t first, uint32_t count, Op op, uint32_t runs);

  // map_burst.bpf.c for this shape, compiled with `flags`.
  std::string burst_object(const std::string& flags);
  std::vector<std::string> absent() const;

  static void check(int error);
  static void check(const Status& status);

  // Keys of the ring that are in the table; as many that are not follow.
  [[nodiscard]] uint32_t half() const { return half_; }
  [[nodiscard]] uint8_t* ring(uint32_t i);
  [[nodiscard]] RteHash* rte() const { return rte_.get(); }
  [[nodiscard]] LinuxPeer* linux_peer() const { return linux_.get(); }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Bench& bench() const { return bench_; }

 private:
  std::string object(const std::string& source, const std::string& flags);

  Bench& bench_;
  const Shape& shape_;
  std::string name_;
  bool prefixes_;
  Keys keys_;
  uint32_t half_;
  std::string object_;
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

// Kinds map_lookup_burst and map_update_burst, of a hash that fill() filled: map_burst.cpp.
void lookup_burst_row(Tables& tables, bool hits);
void update_burst_row(Tables& tables);

}  // namespace sluice::bench
