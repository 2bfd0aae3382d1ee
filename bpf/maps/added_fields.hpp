// The fields of an array's values that programs only add to, atomically and without looking at the
// result. Such a map may keep a copy of them a worker (array_map.cpp). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace sluice::bpf {

struct AddedField {
  uint32_t offset = 0;  // in the value, a multiple of `width`
  uint32_t width = 0;   // bytes: 4 or 8
  bool operator==(const AddedField&) const = default;
};

inline constexpr uint32_t kMaxAddedFields = 256;

// All that a program does to a map's values, in order of offset; none: it does something else too.
using AddedFields = std::optional<std::vector<AddedField>>;

// False: it overlaps another one that is not the same, or there are too many.
bool add_field(std::vector<AddedField>* fields, AddedField field);

}  // namespace sluice::bpf
