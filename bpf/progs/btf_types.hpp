// The types of a BTF blob by id (Linux: Documentation/bpf/btf.rst). Reads records by copy, since
// nothing promises their alignment, and checks every step: the blob is the user's. The blob must
// outlive it. Any thread.
#pragma once

#include <linux/btf.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::bpf {

struct BtfMember {
  uint32_t name;
  uint32_t type;
  uint32_t bit_offset;
  uint32_t bits;  // of a bit field; 0: the type's own size
};

class BtfTypes {
 public:
  // Ids go up to the first record that is cut off or of no known kind. A blob without sound
  // sections has none, and no strings.
  explicit BtfTypes(std::span<const uint8_t> blob);

  // ids: 1 to count()
  [[nodiscard]] uint32_t count() const { return static_cast<uint32_t>(starts_.size()); }
  // every byte of the type section is part of a record
  [[nodiscard]] bool whole() const { return whole_; }
  [[nodiscard]] bool known(uint32_t id) const { return id <= count(); }  // 0, void, is

  [[nodiscard]] btf_type type(uint32_t id) const;  // void: all zero
  [[nodiscard]] uint32_t kind(uint32_t id) const { return BTF_INFO_KIND(type(id).info); }
  [[nodiscard]] uint32_t vlen(uint32_t id) const { return BTF_INFO_VLEN(type(id).info); }
  // The index-th word behind the type's record; 0: the types end before it.
  [[nodiscard]] uint32_t word(uint32_t id, uint32_t index) const;
  [[nodiscard]] BtfMember member(uint32_t id, uint32_t index) const;
  [[nodiscard]] bool has_string(uint32_t offset) const { return offset < strings_.size(); }
  [[nodiscard]] std::string_view string(uint32_t offset) const;
  [[nodiscard]] std::string_view name(uint32_t id) const { return string(type(id).name_off); }

  // Behind typedef, const, volatile, restrict and type_tag, and from a variable to its type; 0 for
  // a circle.
  [[nodiscard]] uint32_t skip_modifiers(uint32_t id) const;
  // Bytes; nothing for void, functions and forward declarations, nor above 2^32 - 1.
  [[nodiscard]] std::optional<uint32_t> size_of(uint32_t id) const;

 private:
  std::span<const uint8_t> types_;
  std::span<const uint8_t> strings_;
  std::vector<uint32_t> starts_;
  bool whole_ = false;
};

[[nodiscard]] constexpr bool is_modifier(uint32_t kind) {
  return kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_CONST || kind == BTF_KIND_VOLATILE ||
         kind == BTF_KIND_RESTRICT || kind == BTF_KIND_TYPE_TAG;
}
[[nodiscard]] constexpr bool is_struct(uint32_t kind) {
  return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION;
}

// Words that follow a struct btf_type of this kind; -1: no such kind.
[[nodiscard]] int64_t btf_extra_words(uint32_t kind, uint32_t vlen);

}  // namespace sluice::bpf
