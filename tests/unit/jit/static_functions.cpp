#include "tests/unit/jit/static_functions.hpp"

#include <linux/btf.h>

#include <cstring>
#include <set>

namespace sluice::bpf {
namespace {

constexpr char kStrings[] = "\0int\0f";
constexpr uint32_t kFunction = 3;  // its type: int f(void), static

template <class T>
void append(std::vector<uint8_t>* to, const T& value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  to->insert(to->end(), bytes, bytes + sizeof value);
}

std::vector<uint8_t> make_btf() {
  std::vector<uint8_t> types;
  append(&types, btf_type{.name_off = 1, .info = BTF_KIND_INT << 24, .size = 4});
  append(&types, uint32_t{BTF_INT_SIGNED << 24 | 32});
  append(&types, btf_type{.name_off = 0, .info = BTF_KIND_FUNC_PROTO << 24, .type = 1});
  append(&types, btf_type{.name_off = 5, .info = BTF_KIND_FUNC << 24 | BTF_FUNC_STATIC, .type = 2});
  const auto size = static_cast<uint32_t>(types.size());
  std::vector<uint8_t> blob;
  append(&blob,
         btf_header{BTF_MAGIC, BTF_VERSION, 0, sizeof(btf_header), 0, size, size, sizeof kStrings});
  blob.insert(blob.end(), types.begin(), types.end());
  blob.insert(blob.end(), kStrings, kStrings + sizeof kStrings);
  return blob;
}

}  // namespace

StaticFunctions static_functions_of(const std::vector<Insn>& insns) {
  std::set<uint32_t> starts{0};
  bool loads = false;
  for (size_t i = 0; i < insns.size(); i += insn_length(insns[i])) {
    const bool address = is_load_imm64(insns[i]) && insns[i].src_reg == BPF_PSEUDO_FUNC;
    loads = loads || address;
    if (address || is_local_call(insns[i])) {
      starts.insert(static_cast<uint32_t>(static_cast<int64_t>(i) + 1 + insns[i].imm));
    }
  }
  StaticFunctions functions;
  if (!loads) return functions;
  functions.btf = make_btf();
  for (const uint32_t start : starts) functions.func_info.push_back({start, kFunction});
  return functions;
}

}  // namespace sluice::bpf
