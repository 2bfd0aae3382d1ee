// What the map tests share: making maps and keys, and checking an error's number and text.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bpf/maps/map.hpp"
#include "bpf/maps/map_ops.hpp"

namespace sluice::bpf {

using Bytes = std::vector<uint8_t>;

inline MapSpec spec_of(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t max_entries,
                       uint32_t slots = 1) {
  MapSpec spec;
  spec.name = "flows";
  spec.type = type;
  spec.key_size = key_size;
  spec.value_size = value_size;
  spec.max_entries = max_entries;
  spec.slots = slots;
  return spec;
}

inline std::shared_ptr<Map> make(const MapSpec& spec) {
  auto map = Map::create(spec);
  EXPECT_TRUE(map) << (map ? "" : map.error().text);
  return map ? *map : nullptr;
}

inline void expect_refused(const MapSpec& spec, int code, const std::string& text) {
  auto map = Map::create(spec);
  ASSERT_FALSE(map) << text;
  EXPECT_EQ(map.error().code, code) << map.error().text;
  EXPECT_NE(map.error().text.find(text), std::string::npos) << map.error().text;
  EXPECT_EQ(map.error().text.find("map flows: create: "), 0u) << map.error().text;
}

// `size` bytes that differ for every number below 2^(8 * size).
inline Bytes key_of(uint64_t number, uint32_t size) {
  Bytes key(size, 0x5a);
  std::memcpy(key.data(), &number, size < 8 ? size : 8);
  if (size > 16) std::memcpy(key.data() + size - 8, &number, 8);
  return key;
}

inline uint64_t word_at(const void* value) {
  return __atomic_load_n(static_cast<const uint64_t*>(value), __ATOMIC_RELAXED);
}

}  // namespace sluice::bpf
