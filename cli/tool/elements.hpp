// A map's elements on the command line: reading, decoding and printing them. The session's thread.
#pragma once

#include <functional>
#include <optional>

#include "cli/tool/btf_values.hpp"
#include "cli/tool/objects.hpp"

namespace sluice::cli {

using Bytes = std::vector<uint8_t>;

// What every command on elements knows of its map.
struct OpenMap {
  UniqueFd fd;
  bpf_map_info info;
  uint32_t slots = 1;  // values of an element: the possible CPUs of a per-CPU map

  [[nodiscard]] bool per_cpu() const;
  // Queue, stack: elements have no key.
  [[nodiscard]] bool keyless() const { return info.key_size == 0; }
  // Bytes of one CPU's value, and of all, as bpf(2) moves them.
  [[nodiscard]] uint32_t slot_size() const {
    return per_cpu() ? (info.value_size + 7) & ~7u : info.value_size;
  }
  [[nodiscard]] uint32_t value_bytes() const { return slot_size() * slots; }
  // Values are descriptors when written and ids when read.
  [[nodiscard]] bool holds_maps() const;
  [[nodiscard]] bool holds_programs() const { return info.type == BPF_MAP_TYPE_PROG_ARRAY; }
  // "map flows", for messages.
  [[nodiscard]] std::string title() const;
};

Result<OpenMap> open_map(UniqueFd fd);
Result<OpenMap> take_map(Words& words);

// Calls `each` with every element: by batches where the map has them, else key by key. ok false:
// its value could not be read, code says why. errors: those of the listing.
struct Element {
  const Bytes& key;
  const Bytes& value;
  int code = 0;
};
Status for_each_element(const OpenMap& map, const std::function<void(const Element&)>& each);

// Prints elements of one map, decoded by its BTF where it has some.
class ElementPrinter {
 public:
  ElementPrinter(Context& context, const OpenMap& map);
  // Whether plain output is decoded too, and so is an object an element.
  [[nodiscard]] bool decodes() const { return btf_ != nullptr; }
  void print(const Bytes& key, const Bytes& value);
  void print_failure(const Bytes& key, int code);
  // The levels around several elements.
  void begin();
  void end();

 private:
  void print_json(const Bytes& key, const Bytes& value);
  void print_formatted(JsonWriter& out, const Bytes& key, const Bytes& value, bool strict) const;
  // The member "value", or "values" of the CPUs, each by `write`.
  void write_values(JsonWriter& out, const Bytes& value,
                    const std::function<void(std::span<const uint8_t>)>& write) const;
  void print_plain(const Bytes& key, const Bytes& value) const;
  [[nodiscard]] std::span<const uint8_t> slot(const Bytes& value, uint32_t cpu) const;

  Context& context_;
  const OpenMap& map_;
  Btf btf_;
  JsonWriter decoded_;  // plain mode's decoded values
  size_t printed_ = 0;
};

// "0a 0b 0c", two blanks after each eight.
[[nodiscard]] std::string hex_text(std::span<const uint8_t> bytes);
// ["0x0a","0x0b"]
void write_hex(JsonWriter& out, std::span<const uint8_t> bytes);

}  // namespace sluice::cli
