#include "bpf/maps/lpm_map.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "bpf/maps/lpm_ops.hpp"
#include "bpf/maps/map_checks.hpp"
#include "bpf/maps/map_memory.hpp"
#include "bpf/maps/map_store.hpp"
#include "bpf/maps/spin_lock.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kLengthBytes = sizeof(uint32_t);

class LpmMap final : public Map {
 public:
  LpmMap(const MapSpec& spec, const MapCore& core, uint64_t total, MapMemory memory)
      : Map(spec), memory_(std::move(memory)) {
    core_ = core;
    core_.table = memory_.data();
    core_.values = memory_.data() + sizeof(TrieTable);
    if (table()->total != 0) return;  // reopened
    table()->total = total;
    table()->never_used = 1;
  }

  // As another process left it: what the root leads to is the trie, and the other nodes are free.
  Status recover(uint64_t total) {
    table()->lock = 0;
    if (table()->total != total || table()->never_used > total + 1)
      return fail(EBADMSG, "another number of nodes");
    std::vector<bool> reached(table()->never_used);
    // a node, and the length that its prefix exceeds
    std::vector<std::pair<uint32_t, int64_t>> open;
    if (table()->root != 0) open.emplace_back(table()->root, -1);
    uint64_t live = 0;
    while (!open.empty()) {
      const auto [number, above] = open.back();
      open.pop_back();
      if (number >= reached.size() || reached[number])
        return fail(EBADMSG, "node " + std::to_string(number));
      reached[number] = true;
      const TrieNode* node = trie_node(&core_, number);
      if (int64_t{node->prefix_bits} <= above || node->prefix_bits > trie_data_bytes(&core_) * 8) {
        return fail(EBADMSG, "node " + std::to_string(number) + ": prefix of " +
                                 std::to_string(node->prefix_bits) + " bits");
      }
      live += node->branch == 0;
      for (uint32_t child : node->child) {
        if (child != 0) open.emplace_back(child, node->prefix_bits);
      }
    }
    if (live > core_.max_entries)
      return fail(EBADMSG, std::to_string(live) + " elements in the map");
    table()->live = live;
    table()->free_first = table()->free_last = 0;
    for (uint32_t number = 1; number < reached.size(); number++) {
      if (!reached[number]) trie_give_node(&core_, number);
    }
    return {};
  }

  using Map::lookup;
  int lookup(const void* key, void* value, uint64_t flags) override {
    if (flags != 0) return -EINVAL;
    const TrieKey wanted = trie_key(key);
    if (wanted.bits > trie_data_bytes(&core_) * 8) return -ENOENT;
    const auto copy = [&] {
      const uint32_t found = trie_descend(&core_, wanted);
      if (found != 0)
        copy_out(value, trie_value(&core_, trie_node(&core_, found)), core_.value_size);
      return found == 0 ? -ENOENT : 0;
    };
    for (uint32_t i = 0; i < kTrieReadTries; i++) {
      const uint64_t before = changes();
      const int error = copy();
      if (changes() == before) return error;
    }
    return locked(copy);
  }

  int update(const void* given, const void* value, uint64_t flags) override {
    const TrieKey key = trie_key(given);
    if (long error = lpm_check_update(&core_, key, flags); error != 0)
      return static_cast<int>(error);
    return locked([&] { return trie_put(&core_, key, value, flags); });
  }

  int erase(const void* given) override {
    const TrieKey key = trie_key(given);
    if (long error = lpm_check_update(&core_, key, 0); error != 0) return static_cast<int>(error);
    return locked([&] { return trie_remove(&core_, key); });
  }

  // Children before their parent, left before right, so that longer prefixes come first, as in
  // Linux.
  int next_key(const void* key, void* next) override {
    return locked([&] {
      const uint32_t number = key == nullptr ? first_of(table()->root) : following(trie_key(key));
      if (number == 0) return -ENOENT;
      TrieNode* node = trie_node(&core_, number);
      std::memcpy(next, &node->prefix_bits, kLengthBytes);
      copy_out(static_cast<uint8_t*>(next) + kLengthBytes, trie_data(node),
               trie_data_bytes(&core_));
      return 0;
    });
  }

  [[nodiscard]] uint64_t entries() const override {
    return __atomic_load_n(&table()->live, __ATOMIC_RELAXED);
  }
  [[nodiscard]] uint64_t full_errors() const override {
    return __atomic_load_n(&table()->full_errors, __ATOMIC_RELAXED);
  }
  [[nodiscard]] uint64_t memory_bytes() const override { return memory_.bytes(); }
  [[nodiscard]] FileLoss file_loss() const override { return memory_.file_loss(); }

 private:
  [[nodiscard]] TrieTable* table() const { return trie_table(&core_); }
  [[nodiscard]] uint64_t changes() const {
    return __atomic_load_n(&table()->changes, __ATOMIC_ACQUIRE);
  }

  template <class Body>
  int locked(Body body) {
    if (!spin_lock_patiently(&table()->lock)) return -EBUSY;
    const long error = body();
    spin_unlock(&table()->lock);
    return static_cast<int>(error);
  }

  // The first node with a value under `number`: a leaf. 0 of 0.
  [[nodiscard]] uint32_t first_of(uint32_t number) const {
    while (number != 0) {
      const TrieNode* node = trie_node(&core_, number);
      const uint32_t child = node->child[0] != 0 ? node->child[0] : node->child[1];
      if (child == 0) break;
      number = child;
    }
    return number;
  }

  // The node after the key's; a key that is not there has the first after it.
  [[nodiscard]] uint32_t following(const TrieKey& key) const {
    // A length beyond the key's own bytes is no key of the map's.
    if (key.bits > (core_.key_size - kLengthBytes) * 8) return first_of(table()->root);
    std::vector<uint32_t> path;
    uint32_t number = table()->root;
    while (number != 0) {
      TrieNode* node = trie_node(&core_, number);
      path.push_back(number);
      if (trie_common_bits(&core_, node, key) != node->prefix_bits || node->prefix_bits >= key.bits)
        break;
      number = node->child[trie_bit(key.data, node->prefix_bits)];
    }
    const bool there = number != 0 && trie_node(&core_, number)->prefix_bits == key.bits &&
                       trie_node(&core_, number)->branch == 0 &&
                       trie_common_bits(&core_, trie_node(&core_, number), key) == key.bits;
    if (!there) return first_of(table()->root);
    while (path.size() > 1) {
      const uint32_t child = path.back();
      path.pop_back();
      const TrieNode* parent = trie_node(&core_, path.back());
      if (parent->child[0] == child && parent->child[1] != 0) return first_of(parent->child[1]);
      if (parent->branch == 0) return path.back();
    }
    return 0;
  }

  MapMemory memory_;
};

}  // namespace

Status check_lpm(const MapSpec& spec) {
  if ((spec.flags & BPF_F_NO_PREALLOC) == 0)
    return fail(EINVAL, "map_flags without BPF_F_NO_PREALLOC, which a trie needs");
  if (spec.key_size <= kLengthBytes || spec.key_size > kTrieMaxKey) {
    return fail(EINVAL, "key_size " + std::to_string(spec.key_size) + ", not 5 to " +
                            std::to_string(kTrieMaxKey));
  }
  if (spec.value_size == 0) return fail(EINVAL, "value_size 0");
  if (spec.value_size > kMaxValueSize - kTrieMaxKey - sizeof(TrieNode)) {
    return fail(EINVAL, "value_size " + std::to_string(spec.value_size));
  }
  return check_flags(spec, BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | kProgramAccess);
}

Result<std::shared_ptr<Map>> create_lpm(const MapSpec& spec) {
  const MapCore core = core_of(spec);
  // Each prefix may need a fork, and a replacement a node more; memory is taken as they come.
  const uint64_t total = std::min(uint64_t{spec.max_entries} * 2 + 1, uint64_t{UINT32_MAX});
  auto checked = checked_bytes(spec, 2 * trie_node_stride(&core));
  if (!checked) return fail(std::move(checked.error()));
  const uint64_t bytes = sizeof(TrieTable) + total * trie_node_stride(&core);
  auto memory = MapMemory::allocate_in(spec.store.get(), "values", bytes, false);
  if (!memory) return fail(std::move(memory.error()));
  auto map = std::make_shared<LpmMap>(spec, core, total, std::move(*memory));
  if (Status good = reopened(spec) ? map->recover(total) : Status(); !good)
    return fail(std::move(good.error()));
  return map;
}

}  // namespace sluice::bpf
