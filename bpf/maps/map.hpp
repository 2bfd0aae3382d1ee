// A map: its shape, its memory and the control thread's operations. Created by Map::create, shared by std::shared_ptr
// (handles, pins, programs). The operations may be called from any control thread while workers run programs on the same
// map; they return 0 or a negative errno as bpf(2) does (Linux: Documentation/bpf/maps.rst, bpf(2) manual page).
// Programs reach the map through core() and maps/map_ops.hpp alone.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "bpf/maps/grace.hpp"
#include "bpf/maps/map_core.hpp"

namespace sluice::bpf {

struct MapSpec {
  std::string name;
  uint32_t type = BPF_MAP_TYPE_UNSPEC;
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  uint32_t flags = 0;
  uint32_t slots = 1;  // per-CPU kinds: values an element has (the host's possible CPUs); others ignore it
  uint32_t btf_key_type_id = 0;
  uint32_t btf_value_type_id = 0;
  uint64_t extra = 0;             // map_extra: bloom filter's hash functions
  int32_t spin_lock_offset = -1;  // of struct bpf_spin_lock in the value, from its BTF; -1: none
  std::shared_ptr<const class Map> inner;  // map-in-map: what inner maps look like
  Grace* grace = nullptr;         // outlives the map; null: nothing runs programs beside the control thread
};

// What an element of a prog_array or map-in-map holds: a program or map, kept alive by `owner`. Programs load `target`
// (TailTarget*, const MapCore*); bpf(2) shows `id`.
struct MapReference {
  std::shared_ptr<const void> owner;
  const void* target = nullptr;
  uint32_t id = 0;
};

class Map {
 public:
  // errors: EINVAL (bad shape or flags), E2BIG (too large), ENOMEM; the texts name the field.
  static Result<std::shared_ptr<Map>> create(const MapSpec& spec);
  virtual ~Map() = default;
  Map(const Map&) = delete;
  Map& operator=(const Map&) = delete;

  [[nodiscard]] const MapSpec& spec() const { return spec_; }
  [[nodiscard]] const MapCore& core() const { return core_; }
  // Bytes of a value as bpf(2) moves it: value_size, or slots * round_up(value_size, 8) for per-CPU kinds.
  [[nodiscard]] uint32_t user_value_size() const;

  // Copies the value out. ENOENT.
  virtual int lookup(const void* key, void* value) = 0;
  // flags: BPF_ANY, BPF_NOEXIST, BPF_EXIST. EINVAL, EEXIST, ENOENT, E2BIG (full or index out of range).
  virtual int update(const void* key, const void* value, uint64_t flags) = 0;
  // ENOENT; EINVAL on arrays.
  virtual int erase(const void* key) = 0;
  // LOOKUP_AND_DELETE_ELEM: the hash kinds; queue and stack (key null): pop. ENOENT; ENOTSUPP (524) where the type has none.
  virtual int lookup_and_erase(const void* key, void* value, uint64_t flags);
  // prog_array, array_of_maps, hash_of_maps: update by reference; lookup() then gives its id. EINVAL elsewhere.
  virtual int set_reference(const void* key, const MapReference& reference, uint64_t flags);
  // key null or not found: the first key. ENOENT after the last.
  virtual int next_key(const void* key, void* next) = 0;
  // Elements now in the map; max_entries for arrays.
  [[nodiscard]] virtual uint64_t entries() const = 0;
  // Updates refused because the map was full, by programs and control thread.
  [[nodiscard]] virtual uint64_t full_errors() const { return 0; }
  // Bytes of memory held.
  [[nodiscard]] virtual uint64_t memory_bytes() const = 0;
  // The file that clients map (BPF_F_MMAPABLE arrays, ring buffers): a descriptor of the map's; -1: nothing to map.
  [[nodiscard]] virtual int memory_file() const { return -1; }

 protected:
  explicit Map(MapSpec spec) : spec_(std::move(spec)) {}
  MapSpec spec_;
  MapCore core_{};
};

// True for the per-CPU kinds.
[[nodiscard]] bool is_per_cpu(uint32_t map_type);

}  // namespace sluice::bpf
