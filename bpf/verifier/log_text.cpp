// Registers as the kernel's log writes them.
#include <cstdio>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

// Small numbers are decimal, others hexadecimal.
std::string signed_text(int64_t value, bool low = false) {
  if (value >= INT16_MIN && value <= INT16_MAX) return std::to_string(value);
  char text[32];
  snprintf(text, sizeof text, "%#llx",
           low ? static_cast<uint32_t>(value) : static_cast<unsigned long long>(value));
  return text;
}
std::string unsigned_text(uint64_t value) {
  if (value <= UINT16_MAX) return std::to_string(value);
  char text[32];
  snprintf(text, sizeof text, "%#llx", static_cast<unsigned long long>(value));
  return text;
}

std::string hex_text(uint64_t value) {
  char text[32];
  snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
  return text;
}
std::string offset_text(int32_t value) { return (value < 0 ? "" : "+") + std::to_string(value); }

// The bounds that say something; lower ones that are equal share their number, and so do upper
// ones: smin=umin=1,smax=umax=smax32=umax32=9.
std::string bounds_text(const Scalar& value) {
  struct Bound {
    const char* name;
    uint64_t number;
    bool is_signed;
    bool omit;
    bool low = false;
  };
  const Range64& wide = value.wide;
  const Range32& low = value.low;
  Bound bounds[] = {
      {"smin", static_cast<uint64_t>(wide.smin), true, wide.smin == INT64_MIN},
      {"smax", static_cast<uint64_t>(wide.smax), true, wide.smax == INT64_MAX},
      {"umin", wide.umin, false, wide.umin == 0},
      {"umax", wide.umax, false, wide.umax == UINT64_MAX},
      {"smin32", static_cast<uint64_t>(int64_t{low.smin}), true, low.smin == INT32_MIN, true},
      {"smax32", static_cast<uint64_t>(int64_t{low.smax}), true, low.smax == INT32_MAX, true},
      {"umin32", low.umin, false, low.umin == 0, true},
      {"umax32", low.umax, false, low.umax == UINT32_MAX, true},
  };
  std::string out;
  for (size_t i = 0; i < std::size(bounds); i++) {
    if (bounds[i].omit) continue;
    if (!out.empty()) out += ",";
    out += bounds[i].name;
    for (size_t j = i + 2; j < std::size(bounds); j += 2) {
      if (bounds[j].omit || bounds[j].number != bounds[i].number) continue;
      bounds[j].omit = true;
      out += std::string("=") + bounds[j].name;
    }
    const uint64_t number = bounds[i].number;
    out += "=" + (bounds[i].is_signed ? signed_text(static_cast<int64_t>(number), bounds[i].low)
                                      : unsigned_text(number));
  }
  return out;
}

// Facts in parentheses, separated by commas.
class Facts {
 public:
  void put(const std::string& text) {
    if (text.empty()) return;
    if (!out_.empty()) out_ += ",";
    out_ += text;
  }
  void put(const char* name, const std::string& value) { put(std::string(name) + "=" + value); }
  [[nodiscard]] std::string text() const { return "(" + out_ + ")"; }

 private:
  std::string out_;
};

void put_number(const Scalar& value, Facts* facts) {
  facts->put(bounds_text(value));
  if (value.bits.mask != ~0ull) facts->put("var_off", tnum_text(value.bits));
}

}  // namespace

std::string type_name(const Register& reg) {
  auto name = [&]() -> std::string {
    switch (reg.type) {
      case RegType::uninit: return "?";
      case RegType::scalar: return "scalar";
      case RegType::ctx: return "ctx";
      case RegType::stack: return "fp";
      case RegType::const_map: return "map_ptr";
      case RegType::map_key: return "map_key";
      case RegType::map_value: return "map_value";
      case RegType::packet: return "pkt";
      case RegType::packet_meta: return "pkt_meta";
      case RegType::packet_end: return "pkt_end";
      case RegType::memory: return reg.record ? "ringbuf_mem" : "mem";
      case RegType::socket: return "sock";
      case RegType::sock_common: return "sock_common";
      case RegType::tcp_sock: return "tcp_sock";
      case RegType::btf: return "trusted_ptr_";
      case RegType::function: return "func";
    }
    return "?";
  };
  return name() + (reg.or_null ? "_or_null" : "");
}

std::string tnum_text(Tnum bits) {
  if (bits.is_const()) return std::to_string(bits.value);
  char text[64];
  snprintf(text, sizeof text, "(0x%llx; 0x%llx)", static_cast<unsigned long long>(bits.value),
           static_cast<unsigned long long>(bits.mask));
  return text;
}

std::string register_text(const Register& reg, const std::vector<const Map*>& maps,
                          uint32_t frame) {
  const bool fixed = reg.value.is_const();
  std::string name = type_name(reg);
  Facts facts;
  if (reg.type == RegType::uninit) return "?";
  if (reg.is_scalar()) {
    const std::string precise = reg.precise ? "P" : "";
    if (fixed) return precise + signed_text(static_cast<int64_t>(reg.value.value()));
    if (reg.id != 0)
      facts.put("id", std::to_string(reg.id) + (reg.added ? offset_text(reg.offset) : ""));
    put_number(reg.value, &facts);
    return precise + "scalar" + facts.text();
  }
  if (reg.type == RegType::stack)
    name += reg.frame == frame ? "" : "[" + std::to_string(reg.frame) + "]";
  if (reg.type == RegType::stack && fixed) {
    return name + (reg.offset != 0 || name == "fp" ? signed_text(reg.offset) : "");
  }
  if (reg.id != 0) facts.put("id", std::to_string(reg.id));
  if (reg.reference != 0) facts.put("ref_obj_id", std::to_string(reg.reference));
  const bool of_map = reg.type == RegType::map_key || reg.type == RegType::map_value ||
                      reg.type == RegType::const_map;
  if (of_map) {
    const MapSpec& spec = maps[static_cast<size_t>(reg.map_index)]->spec();
    if (!spec.name.empty()) facts.put("map", spec.name);
    facts.put("ks", std::to_string(spec.key_size));
    facts.put("vs", std::to_string(spec.value_size));
  }
  if (reg.offset != 0) facts.put("off", signed_text(reg.offset));
  if (reg.is_packet()) facts.put("r", unsigned_text(static_cast<uint64_t>(int64_t{reg.range})));
  if (reg.type == RegType::memory) facts.put("sz", unsigned_text(static_cast<uint32_t>(reg.range)));
  if (!fixed) put_number(reg.value, &facts);
  if (fixed && reg.value.value() != 0) facts.put("imm", hex_text(reg.value.value()));
  return name + facts.text();
}

std::string slot_text(const StackSlot& slot, const std::vector<const Map*>& maps, uint32_t frame) {
  const uint32_t held = slot.spill_size();
  std::string bytes;
  for (size_t i = 8; i-- > held;) bytes += "?m0r"[static_cast<uint8_t>(slot.bytes[i])];
  if (held != 0) return bytes + register_text(slot.spilled, maps, frame);
  return bytes == "????????" ? "" : bytes;
}

}  // namespace sluice::bpf
