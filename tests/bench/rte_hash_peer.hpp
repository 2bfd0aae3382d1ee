// rte_hash with lock-free readers and its default hash function, as a peer of hash maps. One
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace sluice::bench {

class RteHash {
 public:
  // Null: rte_hash refuses; `why` says.
  static std::unique_ptr<RteHash> make(uint32_t entries, uint32_t key_size, std::string* why);
  virtual ~RteHash() = default;

  // Sums of the values found and of what succeeded, so that no work can be left out.
  virtual uint64_t lookup(const uint8_t* keys, uint32_t count) = 0;
  virtual uint64_t lookup_bulk(const uint8_t* const* keys, uint32_t count) = 0;  // at most 32
  virtual uint64_t insert(const uint8_t* keys, uint32_t count) = 0;              // or overwrite
  virtual uint64_t erase(const uint8_t* keys, uint32_t count) = 0;
};

}  // namespace sluice::bench
