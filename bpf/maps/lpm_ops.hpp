// LPM trie: longest-prefix match over keys of struct bpf_lpm_trie_key (prefix length, then bytes
// from the most significant bit on). Shared by the binary and the JIT's bitcode; any thread.
//
// A path-compressed binary trie, as in Linux: a node a prefix, and one without value where two
// prefixes part. Nodes never change but for their children and the `branch` mark; a replaced value
// is a new node. Readers take no lock. A node that was unlinked goes to the end of a FIFO free
// list; TrieTable::changes counts before each time a node is filled again, so a reader that sees
// the same count before and after has met no node in reuse. Writers, one at a time, hold the lock.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>

#include "bpf/maps/map_bytes.hpp"
#include "bpf/maps/map_core.hpp"
#include "bpf/maps/spin_lock_ops.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kTrieLockTries = 1000;
inline constexpr uint32_t kTrieReadTries = 64;
inline constexpr uint32_t kTrieMaxKey = 4 + 256;

struct TrieNode {
  uint32_t child[2];    // numbers of nodes, 0: none; lock holder: rw, readers: ro
  uint32_t prefix_bits;
  uint32_t branch;      // 1: holds no value
  uint32_t next_free;
  uint32_t unused;
};  // then the key's bytes, rounded up to 8, and the value
static_assert(sizeof(TrieNode) == 24 && offsetof(TrieNode, child) == 0);

// At MapCore::table; node 1 is at MapCore::values.
struct alignas(64) TrieTable {
  uint32_t root;       // lock holder: rw, readers: ro
  uint32_t lock;
  uint64_t changes;    // the same as root
  uint64_t total;      // nodes there are
  alignas(64) uint64_t never_used;  // lock holder: rw
  uint32_t free_first, free_last;
  uint64_t live;       // lock holder: rw, all: ro
  uint64_t full_errors;
};

inline TrieTable* trie_table(const MapCore* map) { return static_cast<TrieTable*>(map->table); }
[[gnu::always_inline]] inline uint32_t trie_data_bytes(const MapCore* map) {
  return map->key_size - static_cast<uint32_t>(sizeof(uint32_t));
}
[[gnu::always_inline]] inline uint64_t trie_node_stride(const MapCore* map) {
  return sizeof(TrieNode) + round_up(trie_data_bytes(map), 8) + map->value_stride;
}
[[gnu::always_inline]] inline TrieNode* trie_node(const MapCore* map, uint32_t number) {
  return reinterpret_cast<TrieNode*>(map->values + (uint64_t{number} - 1) * trie_node_stride(map));
}
[[gnu::always_inline]] inline uint8_t* trie_data(TrieNode* node) {
  return reinterpret_cast<uint8_t*>(node + 1);
}
[[gnu::always_inline]] inline uint8_t* trie_value(const MapCore* map, TrieNode* node) {
  return trie_data(node) + round_up(trie_data_bytes(map), 8);
}
[[gnu::always_inline]] inline uint32_t load_number(const uint32_t* number) {
  return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}
[[gnu::always_inline]] inline void store_number(uint32_t* place, uint32_t number) {
  __atomic_store_n(place, number, __ATOMIC_RELEASE);
}

struct TrieKey {
  uint32_t bits;
  const uint8_t* data;
};
[[gnu::always_inline]] inline TrieKey trie_key(const void* key) {
  uint32_t bits;
  __builtin_memcpy(&bits, key, sizeof bits);
  return {bits, static_cast<const uint8_t*>(key) + sizeof bits};
}
// Where a caller's key is a small local and the map is not constant, g++ sees the walk for longer
// keys and warns.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds"
#ifndef __clang__  // which does not know it
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
[[gnu::always_inline]] inline uint32_t trie_bit(const uint8_t* data, uint32_t at) {
  return data[at / 8] >> (7 - at % 8) & 1;
}
#pragma GCC diagnostic pop
[[gnu::always_inline]] inline uint32_t trie_stored_bit(const uint8_t* data, uint32_t at) {
  return __atomic_load_n(data + at / 8, __ATOMIC_RELAXED) >> (7 - at % 8) & 1;
}

// Leading bits that node and key share, at most the shorter's length.
[[gnu::always_inline]] inline uint32_t trie_common_bits(const MapCore* map, TrieNode* node,
                                                        const TrieKey& key) {
  const uint32_t node_bits = __atomic_load_n(&node->prefix_bits, __ATOMIC_RELAXED);
  const uint32_t limit = node_bits < key.bits ? node_bits : key.bits;
  const uint32_t size = trie_data_bytes(map);
  for (uint32_t at = 0; at < size && at * 8 < limit; at += 8) {
    const uint64_t different = load_word(trie_data(node), at) ^ load_bytes(key.data, size, at);
    if (different == 0) continue;
    const uint32_t common =
        at * 8 + static_cast<uint32_t>(__builtin_clzll(__builtin_bswap64(different)));
    return common < limit ? common : limit;
  }
  return limit;
}

// A descent's steps. Where the data fits a word, the key's is held in a register: what a step waits
// for is then its node alone.
[[gnu::always_inline]] inline bool trie_in_word(const MapCore* map) {
  return trie_data_bytes(map) <= 8;
}
[[gnu::always_inline]] inline uint64_t trie_word(const MapCore* map, const TrieKey& key) {
  return __builtin_bswap64(load_bytes(key.data, trie_data_bytes(map), 0));
}
// The first node_bits (at most key.bits) of the key are the node's.
[[gnu::always_inline]] inline bool trie_matches(const MapCore* map, TrieNode* node,
                                                uint32_t node_bits, const TrieKey& key,
                                                uint64_t word) {
  if (node_bits > key.bits) return false;
  if (!trie_in_word(map)) return trie_common_bits(map, node, key) >= node_bits;
  const uint64_t different = __builtin_bswap64(load_word(trie_data(node), 0)) ^ word;
  return node_bits == 0 || different >> (64 - node_bits) == 0;
}
// The child that the bit after node_bits leads to. Both are loaded before the bit is known.
[[gnu::always_inline]] inline uint32_t trie_child(const MapCore* map, TrieNode* node,
                                                  uint32_t node_bits, const TrieKey& key,
                                                  uint64_t word) {
  if (!trie_in_word(map)) return load_number(&node->child[trie_bit(key.data, node_bits)]);
  const uint64_t children = load_word(node, offsetof(TrieNode, child));
  return static_cast<uint32_t>(children >> (word << node_bits >> 63) * 32);
}

// The node whose prefix matches longest, or 0; one descent without regard to writers. Prefixes get
// longer on the way down; a reader led astray by reuse sees that they do not and stops.
[[gnu::always_inline]] inline uint32_t trie_descend(const MapCore* map, const TrieKey& key) {
  uint32_t found = 0, deepest = 0;
  const uint64_t word = trie_word(map, key);
  uint32_t number = load_number(&trie_table(map)->root);
  for (uint32_t depth = 0; number != 0; depth++) {
    TrieNode* node = trie_node(map, number);
    const uint32_t node_bits = __atomic_load_n(&node->prefix_bits, __ATOMIC_RELAXED);
    if (depth > 0 && node_bits <= deepest) break;
    if (!trie_matches(map, node, node_bits, key, word)) break;
    if (load_number(&node->branch) == 0) found = number;
    if (node_bits >= key.bits) break;
    deepest = node_bits;
    number = trie_child(map, node, node_bits, key, word);
  }
  return found;
}

// After kTrieReadTries among writers that never rest the last answer stands.
[[gnu::always_inline]] inline uint32_t trie_find(const MapCore* map, const TrieKey& key) {
  uint32_t found = 0;
  if (key.bits > trie_data_bytes(map) * 8) return 0;
  for (uint32_t i = 0; i < kTrieReadTries; i++) {
    const uint64_t before = __atomic_load_n(&trie_table(map)->changes, __ATOMIC_ACQUIRE);
    found = trie_descend(map, key);
    if (__builtin_expect(__atomic_load_n(&trie_table(map)->changes, __ATOMIC_ACQUIRE) == before, 1))
      break;
  }
  return found;
}

[[gnu::always_inline]] inline void* lpm_lookup(const MapCore* map, const void* key) {
  const uint32_t found = trie_find(map, trie_key(key));
  return found == 0 ? nullptr : trie_value(map, trie_node(map, found));
}

// Lock held. 0: none left, which the number of nodes rules out.
inline uint32_t trie_take_node(const MapCore* map) {
  TrieTable* table = trie_table(map);
  __atomic_store_n(&table->changes, table->changes + 1, __ATOMIC_RELEASE);
  if (table->never_used <= table->total) return static_cast<uint32_t>(table->never_used++);
  const uint32_t number = table->free_first;
  if (number != 0) table->free_first = trie_node(map, number)->next_free;
  if (table->free_first == 0) table->free_last = 0;
  return number;
}

// Lock held.
inline void trie_give_node(const MapCore* map, uint32_t number) {
  TrieTable* table = trie_table(map);
  trie_node(map, number)->next_free = 0;
  if (table->free_last != 0) trie_node(map, table->free_last)->next_free = number;
  if (table->free_first == 0) table->free_first = number;
  table->free_last = number;
}

// Lock held. Fills a node that nobody reaches yet; data beyond the prefix is kept as it was given,
// as in Linux.
inline uint32_t trie_make_node(const MapCore* map, const TrieKey& key, uint32_t bits,
                               const void* value) {
  const uint32_t number = trie_take_node(map);
  if (number == 0) return 0;
  TrieNode* node = trie_node(map, number);
  store_number(&node->child[0], 0);
  store_number(&node->child[1], 0);
  __atomic_store_n(&node->prefix_bits, bits, __ATOMIC_RELAXED);
  __atomic_store_n(&node->branch, value == nullptr ? 1u : 0u, __ATOMIC_RELAXED);
  copy_in(trie_data(node), key.data, trie_data_bytes(map));
  if (value != nullptr) copy_in(trie_value(map, node), value, map->value_size);
  return number;
}

// Where the walk for a key ends.
struct TriePlace {
  uint32_t* link;           // that refers to `number`
  // 0: an empty place; else the first node that is the key or does not lead to it
  uint32_t number;
  uint32_t common;          // bits that node and key share
  // that refers to the node which holds `link`, or null where that is the root
  uint32_t* parent_link;
  uint32_t parent;
};

// Lock held.
inline TriePlace trie_locate(const MapCore* map, const TrieKey& key) {
  TriePlace place{&trie_table(map)->root, trie_table(map)->root, 0, nullptr, 0};
  while (place.number != 0) {
    TrieNode* node = trie_node(map, place.number);
    place.common = trie_common_bits(map, node, key);
    if (place.common < node->prefix_bits || node->prefix_bits == key.bits) break;
    place.parent_link = place.link;
    place.parent = place.number;
    place.link = &node->child[trie_bit(key.data, node->prefix_bits)];
    place.number = *place.link;
  }
  return place;
}

// Lock held. A new node for the key goes between `place.link` and `place.number`. ENOSPC where
// nodes run out.
inline long trie_hang(const MapCore* map, const TriePlace& place, const TrieKey& key,
                      const void* value) {
  const uint32_t made = trie_make_node(map, key, key.bits, value);
  if (made == 0) return -ENOSPC;
  if (place.number == 0) {
    store_number(place.link, made);
    return 0;
  }
  TrieNode* below = trie_node(map, place.number);
  if (place.common == key.bits) {  // the key is a prefix of what is there
    store_number(&trie_node(map, made)->child[trie_stored_bit(trie_data(below), key.bits)],
                 place.number);
    store_number(place.link, made);
    return 0;
  }
  const uint32_t fork = trie_make_node(map, key, place.common, nullptr);
  if (fork == 0) {
    trie_give_node(map, made);
    return -ENOSPC;
  }
  const uint32_t side = trie_bit(key.data, place.common);
  store_number(&trie_node(map, fork)->child[side], made);
  store_number(&trie_node(map, fork)->child[1 - side], place.number);
  store_number(place.link, fork);
  return 0;
}

// Lock held. The new node takes the old one's children and place.
inline long trie_replace(const MapCore* map, const TriePlace& place, const TrieKey& key,
                         const void* value) {
  const uint32_t made = trie_make_node(map, key, key.bits, value);
  if (made == 0) return -ENOSPC;
  TrieNode* old = trie_node(map, place.number);
  store_number(&trie_node(map, made)->child[0], old->child[0]);
  store_number(&trie_node(map, made)->child[1], old->child[1]);
  store_number(place.link, made);
  trie_give_node(map, place.number);
  return 0;
}

// Lock held; the key's length and the flags are good. EEXIST, ENOENT, ENOSPC (full).
inline long trie_put(const MapCore* map, const TrieKey& key, const void* value, uint64_t flags) {
  TrieTable* table = trie_table(map);
  const TriePlace place = trie_locate(map, key);
  TrieNode* node = place.number != 0 ? trie_node(map, place.number) : nullptr;
  const bool same = node != nullptr && place.common == key.bits && node->prefix_bits == key.bits;
  const bool present = same && node->branch == 0;
  if (present && flags == BPF_NOEXIST) return -EEXIST;
  if (!present && flags == BPF_EXIST) return -ENOENT;
  if (!present && table->live == map->max_entries) {
    __atomic_fetch_add(&table->full_errors, 1, __ATOMIC_RELAXED);
    return -ENOSPC;
  }
  const long error =
      same ? trie_replace(map, place, key, value) : trie_hang(map, place, key, value);
  if (error == 0 && !present) __atomic_store_n(&table->live, table->live + 1, __ATOMIC_RELAXED);
  return error;
}

// Lock held. ENOENT.
inline long trie_remove(const MapCore* map, const TrieKey& key) {
  TrieTable* table = trie_table(map);
  const TriePlace place = trie_locate(map, key);
  if (place.number == 0) return -ENOENT;
  TrieNode* node = trie_node(map, place.number);
  if (place.common != key.bits || node->prefix_bits != key.bits || node->branch != 0)
    return -ENOENT;
  __atomic_store_n(&table->live, table->live - 1, __ATOMIC_RELAXED);
  if (node->child[0] != 0 && node->child[1] != 0) {
    store_number(&node->branch, 1);  // still parts two others
    return 0;
  }
  const uint32_t only = node->child[0] != 0 ? node->child[0] : node->child[1];
  TrieNode* parent = place.parent != 0 ? trie_node(map, place.parent) : nullptr;
  if (only == 0 && parent != nullptr && parent->branch != 0) {
    // A fork with one side left is not needed: its other child takes its place.
    const uint32_t sibling = place.link == &parent->child[0] ? parent->child[1] : parent->child[0];
    store_number(place.parent_link, sibling);
    trie_give_node(map, place.parent);
  } else {
    store_number(place.link, only);
  }
  trie_give_node(map, place.number);
  return 0;
}

inline long lpm_check_update(const MapCore* map, TrieKey key, uint64_t flags) {
  return flags > BPF_EXIST || key.bits > trie_data_bytes(map) * 8 ? -EINVAL : 0;
}

// A program's key may lie where others write: what is checked and what is put in is one copy.
struct TrieKeyCopy {
  uint8_t bytes[kTrieMaxKey];

  TrieKey take(const MapCore* map, const void* key) {
    __builtin_memcpy(bytes, key, map->key_size);
    return trie_key(bytes);
  }
};

// 0, EINVAL (flags, prefix too long), EEXIST, ENOENT, ENOSPC (full), EBUSY.
inline long lpm_update(const MapCore* map, const void* given, const void* value, uint64_t flags) {
  TrieKeyCopy copy;
  const TrieKey key = copy.take(map, given);
  if (long error = lpm_check_update(map, key, flags); error != 0) return error;
  TrieTable* table = trie_table(map);
  if (!spin_try_lock(&table->lock, kTrieLockTries)) return -EBUSY;
  const long error = trie_put(map, key, value, flags);
  spin_unlock(&table->lock);
  return error;
}

// 0, EINVAL (prefix too long), ENOENT, EBUSY.
inline long lpm_delete(const MapCore* map, const void* given) {
  TrieKeyCopy copy;
  const TrieKey key = copy.take(map, given);
  if (long error = lpm_check_update(map, key, 0); error != 0) return error;
  TrieTable* table = trie_table(map);
  if (!spin_try_lock(&table->lock, kTrieLockTries)) return -EBUSY;
  const long error = trie_remove(map, key);
  spin_unlock(&table->lock);
  return error;
}

}  // namespace sluice::bpf
