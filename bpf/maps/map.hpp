// A map: its shape, its memory and the control thread's operations. Created by Map::create, shared
// by std::shared_ptr (handles, pins, programs). The operations may be called from any control
// thread while workers run programs on the same map; they return 0 or a negative errno as bpf(2)
// does (Linux: Documentation/bpf/maps.rst, bpf(2) manual page). Programs reach the map through
// core() and maps/map_ops.hpp alone.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/bus_error.hpp"
#include "base/result.hpp"
#include "bpf/maps/added_fields.hpp"
#include "bpf/maps/grace.hpp"
#include "bpf/maps/map_core.hpp"
#include "bpf/maps/private_copies.hpp"

namespace sluice::bpf {

struct MapSpec {
  std::string name;
  uint32_t type = BPF_MAP_TYPE_UNSPEC;
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  uint32_t flags = 0;
  // per-CPU kinds: values an element has (the host's possible CPUs); others ignore it
  uint32_t slots = 1;
  uint32_t btf_key_type_id = 0;
  uint32_t btf_value_type_id = 0;
  uint64_t extra = 0;             // map_extra: bloom filter's hash functions
  int32_t spin_lock_offset = -1;  // of struct bpf_spin_lock in the value, from its BTF; -1: none
  std::shared_ptr<const class Map> inner;  // map-in-map: what inner maps look like
  // where the memory lies (map_store.hpp); null: it ends with the process
  std::shared_ptr<class MapStore> store;
  // outlives the map; null: nothing runs programs beside the control thread
  Grace* grace = nullptr;
};

// What an element of a prog_array or map-in-map holds: a program or map, kept alive by `owner`.
// Programs load `target` (TailTarget*, const MapCore*); bpf(2) shows `id`.
struct MapReference {
  std::shared_ptr<const void> owner;
  const void* target = nullptr;
  uint32_t id = 0;
  // prog_array: program type | expected attach type << 32; all of one map are of one kind
  uint64_t kind = 0;
  // map-in-map: the inner map, whose shape is compared with MapSpec::inner's
  const class Map* map = nullptr;
  uint64_t record = 0;  // of the program or map in the store, which finds it again by that
};

// What the four bytes of a value name where the type holds references: bpf(2) turns the descriptor
// into a MapReference.
enum class ReferenceKind : uint8_t { none, program, map, perf_event, socket };

// A LOOKUP_BATCH or LOOKUP_AND_DELETE_BATCH. Tokens have batch_token_size() bytes; keys and values
// lie behind each other.
struct Batch {
  const void* in = nullptr;  // token of the call before; null: from the start
  void* out = nullptr;       // becomes the token to go on from
  void* keys = nullptr;
  void* values = nullptr;    // user_value_size() each
  uint32_t count = 0;        // in: room for so many; out: so many copied, whatever is returned
  uint64_t element_flags = 0;  // 0 or BPF_F_LOCK
};

// The batch commands a type has; the others are ENOTSUPP (524). UPDATE_BATCH and DELETE_BATCH are
// update() and erase() one by one.
struct BatchSupport {
  bool lookup = false, lookup_and_erase = false, update = false, erase = false;
};

class Map {
 public:
  // errors: EINVAL (bad shape or flags), E2BIG (too large), ENOMEM; the texts name the field. With
  // a store that was made before: the map as it was, or EBADMSG, ENOENT.
  static Result<std::shared_ptr<Map>> create(const MapSpec& spec);
  virtual ~Map() = default;
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  [[nodiscard]] const MapSpec& spec() const { return spec_; }
  [[nodiscard]] const MapCore& core() const { return core_; }
  // Bytes of a value as bpf(2) moves it: value_size, or slots * round_up(value_size, 8) for per-CPU
  // kinds.
  [[nodiscard]] uint32_t user_value_size() const;

  // key is null for the types without one (queue, stack: the next to pop; bloom filter). flags: 0,
  // or BPF_F_LOCK to copy the whole value under its bpf_spin_lock (EBUSY: a program holds it for
  // too long). A bloom filter reads `value`. ENOENT; EINVAL (flags); ENOTSUPP (524) where the type
  // has none.
  virtual int lookup(const void* key, void* value, uint64_t flags) = 0;
  int lookup(const void* key, void* value) { return lookup(key, value, 0); }
  // flags: BPF_ANY, BPF_NOEXIST, BPF_EXIST, and BPF_F_LOCK on values with a bpf_spin_lock: then a
  // present value is written in place. EINVAL, EEXIST, ENOENT, E2BIG (full or index out of range),
  // EBUSY.
  virtual int update(const void* key, const void* value, uint64_t flags) = 0;
  // ENOENT; EINVAL on arrays.
  virtual int erase(const void* key) = 0;
  // LOOKUP_AND_DELETE_ELEM: the hash kinds; queue and stack (key null): pop. ENOENT; ENOTSUPP (524)
  // where the type has none.
  virtual int lookup_and_erase(const void* key, void* value, uint64_t flags);
  // The types of a ReferenceKind: update by reference; lookup() then gives its id. EINVAL
  // elsewhere. check_reference is what an update says before it looks at the descriptor it was
  // given.
  virtual int check_reference(const void* key, uint64_t flags) const;
  virtual int set_reference(const void* key, const MapReference& reference, uint64_t flags);
  // prog_array: the first program that is put in or uses the map decides the kind
  // (MapReference::kind) of all. False: another did. Other types: true.
  virtual bool claim_kind(uint64_t kind);
  // The kind that was decided; 0: none yet, or no prog_array.
  [[nodiscard]] virtual uint64_t kind() const { return 0; }
  // prog_array, map-in-map: by key MapReference::record of each element, as the store keeps it.
  // Null: nothing is kept.
  [[nodiscard]] virtual Map* kept_references() const { return nullptr; }
  // Nobody can change the map any more. A prog_array lets its programs go, as in Linux: they may be
  // what keeps it alive.
  virtual void release_users() {}
  // ENOENT: the end was reached (what was copied still counts); ENOSPC: hash, the next bucket holds
  // more than there is room for; EINVAL (element_flags); ENOTSUPP (524).
  virtual int lookup_batch(Batch& batch, bool and_erase);
  [[nodiscard]] virtual uint32_t batch_token_size() const { return spec_.key_size; }
  // key null or not found: the first key. ENOENT after the last.
  virtual int next_key(const void* key, void* next) = 0;
  // Elements now in the map; max_entries for arrays.
  [[nodiscard]] virtual uint64_t entries() const = 0;
  // Updates refused because the map was full, by programs and control thread.
  [[nodiscard]] virtual uint64_t full_errors() const { return 0; }
  // Bytes of memory held.
  [[nodiscard]] virtual uint64_t memory_bytes() const = 0;
  // The file that clients map (BPF_F_MMAPABLE arrays, ring buffers): a descriptor of the map's; -1:
  // nothing to map.
  [[nodiscard]] virtual int memory_file() const { return -1; }
  // Whether a client has it mapped for writing.
  [[nodiscard]] virtual bool mapped_for_writing() const { return false; }
  // Ring buffer, perf event array: ends the waits (futex(2), shared) for the counts of wake-ups,
  // which programs raise without a system call; for what runs them besides packets.
  virtual void wake_clients() {}
  // Somebody who does this to the values is about to exist: a program, or (nothing known) a
  // map-in-map, whose programs are anybody. An array that is only added to gets a copy a worker;
  // its last admission of another kind waits until the workers no longer add to theirs
  // (Grace::wait).
  virtual void admit(const AddedFields&) {}
  [[nodiscard]] virtual bool waits_to_admit() const { return false; }
  // What machine code needs to add to a worker's copy; `copies` null: there are none.
  [[nodiscard]] virtual PrivateCopies private_copies() const { return {}; }
  // Whether pages of a stored map are not in its file, and why.
  [[nodiscard]] virtual FileLoss file_loss() const { return FileLoss::none; }

 protected:
  explicit Map(MapSpec spec) : spec_(std::move(spec)) {}
  MapSpec spec_;
  MapCore core_{};
};

// Type, sizes, max_entries and flags are equal.
[[nodiscard]] bool same_shape(const Map& one, const Map& other);

// True for the per-CPU kinds.
[[nodiscard]] bool is_per_cpu(uint32_t map_type);
[[nodiscard]] ReferenceKind reference_kind(uint32_t map_type);
[[nodiscard]] BatchSupport batch_support(uint32_t map_type);

}  // namespace sluice::bpf
