// BTF on the command line: fetched by id, and values written as its types say. The session's
// thread.
#pragma once

#include <bpf/btf.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.hpp"
#include "cli/tool/json_writer.hpp"

namespace sluice::cli {

struct FreeBtf {
  void operator()(::btf* btf) const { ::btf__free(btf); }
};
using Btf = std::unique_ptr<::btf, FreeBtf>;

// By its id. errors: those of BTF_GET_FD_BY_ID, EINVAL where the bytes are no BTF.
Result<Btf> load_btf(uint32_t id);

// Strings and names of hostile BTF are bounded by libbpf; sizes are bounded here: nothing is read
// outside `bytes`.
class ValueWriter {
 public:
  // `json`: strict JSON; else numbers may be written as 0x1f, as people like them.
  ValueWriter(const ::btf& btf, JsonWriter& out, bool json) : btf_(btf), out_(out), json_(json) {}

  // One value of the type: a scalar, an object or an array.
  void write(uint32_t type_id, std::span<const uint8_t> bytes) { value(type_id, bytes, 0); }

 private:
  void value(uint32_t type_id, std::span<const uint8_t> bytes, int depth);
  void integer(const btf_type& type, std::span<const uint8_t> bytes);
  void enumeration(const btf_type& type, std::span<const uint8_t> bytes);
  void composite(const btf_type& type, std::span<const uint8_t> bytes, int depth);
  void bit_field(std::span<const uint8_t> bytes, uint32_t offset, uint32_t bits);
  void array(const btf_type& type, std::span<const uint8_t> bytes, int depth);
  bool text(const btf_type& element, std::span<const uint8_t> bytes);
  void section(const btf_type& type, std::span<const uint8_t> bytes, int depth);
  void hexadecimal(unsigned __int128 value);
  [[nodiscard]] const char* name(uint32_t offset) const;

  const ::btf& btf_;
  JsonWriter& out_;
  bool json_;
};

// "int filt(struct __sk_buff * skb)" of a FUNC; empty where it is none.
[[nodiscard]] std::string function_text(const ::btf& btf, uint32_t func_id);

}  // namespace sluice::cli
