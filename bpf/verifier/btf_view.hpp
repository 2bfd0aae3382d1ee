// Reads what the verifier needs of a program's type information: names, and the prototypes of subprograms. Bounds are
// checked on every step: the blob is the user's. (Linux: Documentation/bpf/btf.rst)
#pragma once

#include <linux/bpf.h>
#include <linux/btf.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bpf {

// What a global subprogram is promised of an argument, from its type.
struct GlobalArgument {
  enum class Kind : uint8_t { number, ctx, memory };
  Kind kind = Kind::number;
  uint32_t size = 0;      // memory: bytes pointed at
  bool not_null = false;  // memory: __arg_nonnull
};

// A subprogram by its type.
struct SubprogramInfo {
  std::string name;
  bool global = false;
  bool returns_number = false;
  std::vector<GlobalArgument> arguments;  // of a global one
  std::string fault;                      // why a global one cannot be verified by its type; empty: it can
};

class BtfView {
 public:
  // An empty or damaged blob has no types and no strings.
  void open(std::span<const uint8_t> blob);
  [[nodiscard]] std::string_view name(uint32_t offset) const;
  [[nodiscard]] bool is_function(uint32_t id) const;
  // ctx_names: the structures that a pointer to means the program's context.
  [[nodiscard]] SubprogramInfo subprogram(uint32_t id, std::span<const std::string_view> ctx_names) const;

 private:
  struct Type {
    const btf_type* type = nullptr;
    std::span<const uint8_t> extra;  // what follows it
  };
  [[nodiscard]] const Type* at(uint32_t id) const;
  // The type behind const, volatile, typedef and the like; null: none.
  [[nodiscard]] const Type* plain(uint32_t id) const;
  [[nodiscard]] uint32_t size_of(uint32_t id, uint32_t depth) const;
  [[nodiscard]] bool has_tag(uint32_t function, int32_t argument, std::string_view tag) const;
  [[nodiscard]] GlobalArgument argument(uint32_t function, int32_t index, uint32_t type,
                                        std::span<const std::string_view> ctx_names, std::string* fault) const;

  std::vector<Type> types_;  // [0] is void
  std::string_view strings_;
};

}  // namespace sluice::bpf
