#include "tests/bench/rte_hash_peer.hpp"

#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_lcore.h>

namespace sluice::bench {
namespace {

class Peer final : public RteHash {
 public:
  Peer(rte_hash* hash, uint32_t key_size) : hash_(hash), key_size_(key_size) {}
  ~Peer() override { rte_hash_free(hash_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  uint64_t lookup(const uint8_t* keys, uint32_t count) override {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++, keys += key_size_) {
      void* value = nullptr;
      if (rte_hash_lookup_data(hash_, keys, &value) >= 0) sum += reinterpret_cast<uint64_t>(value);
    }
    return sum;
  }
  uint64_t lookup_bulk(const uint8_t* const* keys, uint32_t count) override {
    const auto* places = reinterpret_cast<const void**>(const_cast<const uint8_t**>(keys));
    void* values[32];
    uint64_t hits = 0;
    uint64_t sum = 0;
    rte_hash_lookup_bulk_data(hash_, const_cast<const void**>(places), count, &hits, values);
    for (; hits != 0; hits &= hits - 1)
      sum += reinterpret_cast<uint64_t>(values[__builtin_ctzll(hits)]);
    return sum;
  }
  uint64_t insert(const uint8_t* keys, uint32_t count) override {
    uint64_t done = 0;
    for (uint32_t i = 0; i < count; i++, keys += key_size_) {
      done += rte_hash_add_key_data(hash_, keys, reinterpret_cast<void*>(1)) == 0;
    }
    return done;
  }
  // A lock-free table frees a deleted key's slot only when told that no reader holds it.
  uint64_t erase(const uint8_t* keys, uint32_t count) override {
    uint64_t done = 0;
    for (uint32_t i = 0; i < count; i++, keys += key_size_) {
      const int32_t position = rte_hash_del_key(hash_, keys);
      done += position >= 0 && rte_hash_free_key_with_position(hash_, position) == 0;
    }
    return done;
  }

 private:
  rte_hash* hash_;
  uint32_t key_size_;
};

}  // namespace

std::unique_ptr<RteHash> RteHash::make(uint32_t entries, uint32_t key_size, std::string* why) {
  rte_hash_parameters parameters{};
  parameters.name = "bench";
  parameters.entries = entries;
  parameters.key_len = key_size;
  parameters.socket_id = static_cast<int>(rte_socket_id());
  // The second lets it hold all its entries, as a hash map does.
  parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
  rte_hash* hash = rte_hash_create(&parameters);
  if (hash == nullptr)
    return *why = std::string("rte_hash_create: ") + rte_strerror(rte_errno), nullptr;
  return std::make_unique<Peer>(hash, key_size);
}

}  // namespace sluice::bench
