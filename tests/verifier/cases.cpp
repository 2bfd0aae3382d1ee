#include "cases.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::bpf {
namespace {

#include "verifier_cases.h"

constexpr char kMapName[] = "map";

std::vector<Insn> insns_of(const VerifierCase& one) {
  std::vector<Insn> insns(one.code.size());
  std::memcpy(insns.data(), one.code.data(), one.code.size() * sizeof(Insn));
  return insns;
}

std::vector<UniqueFd> make_kernel_maps(const VerifierCase& one) {
  std::vector<UniqueFd> maps;
  for (const auto& shape : one.maps) {
    bpf_attr attr{};
    attr.map_type = shape.type;
    attr.key_size = shape.key_size;
    attr.value_size = shape.value_size;
    attr.max_entries = shape.entries;
    attr.map_flags = shape.flags;
    std::memcpy(attr.map_name, kMapName, sizeof kMapName);
    maps.emplace_back(static_cast<int>(kernel_bpf(BPF_MAP_CREATE, &attr)));
    // EPERM: so ends the load, and its caller skips.
    EXPECT_TRUE(maps.back() || errno == EPERM) << std::strerror(errno);
  }
  return maps;
}

UniqueFd load_btf(const std::vector<uint8_t>& blob) {
  if (blob.empty()) return {};
  bpf_attr attr{};
  attr.btf = reinterpret_cast<uint64_t>(blob.data());
  attr.btf_size = static_cast<uint32_t>(blob.size());
  return UniqueFd(static_cast<int>(kernel_bpf(BPF_BTF_LOAD, &attr)));
}

}  // namespace

std::vector<const VerifierCase*> all_cases() {
  std::vector<const VerifierCase*> out;
  for (const auto& one : kCases) out.push_back(&one);
  return out;
}

long kernel_bpf(int command, bpf_attr* attr) {
  return syscall(SYS_bpf, command, attr, sizeof *attr);
}

CaseInput case_input(const VerifierCase& one, uint32_t log_level) {
  CaseInput out;
  VerifierInput& input = out.input;
  input.name = "case";
  input.type = one.type;
  input.gpl_compatible = one.gpl;
  input.flags = one.strict ? BPF_F_STRICT_ALIGNMENT : 0;
  input.log_level = log_level;
  input.insns = insns_of(one);
  out.functions = static_functions_of(input.insns);
  input.btf = out.functions.btf;
  input.func_info = out.functions.func_info;
  for (const auto& shape : one.maps) {
    auto map = Map::create(
        {kMapName, shape.type, shape.key_size, shape.value_size, shape.entries, shape.flags});
    EXPECT_TRUE(map.has_value()) << map.error().text;
    input.maps.push_back(*map);
  }
  return out;
}

KernelVerdict kernel_verdict(const VerifierCase& one, uint32_t log_level) {
  const std::vector<UniqueFd> maps = make_kernel_maps(one);
  std::vector<Insn> insns = insns_of(one);
  for (size_t i = 0; i < insns.size(); i += insn_length(insns[i])) {
    Insn& insn = insns[i];
    if (!is_load_imm64(insn) || insn.src_reg == 0 || insn.src_reg > BPF_PSEUDO_MAP_VALUE) continue;
    const auto index = static_cast<size_t>(insn.imm);
    if (index < maps.size()) insn.imm = maps[index].get();
  }
  std::vector<char> text(log_level == 0 ? 0 : 1 << 20);
  bpf_attr attr{};
  attr.prog_type = one.type;
  attr.insns = reinterpret_cast<uint64_t>(insns.data());
  attr.insn_cnt = static_cast<uint32_t>(insns.size());
  attr.license = reinterpret_cast<uint64_t>(one.gpl ? "GPL" : "Proprietary");
  attr.prog_flags = one.strict ? BPF_F_STRICT_ALIGNMENT : 0;
  const StaticFunctions functions = static_functions_of(insns);
  const UniqueFd btf = load_btf(functions.btf);
  if (btf) attr.prog_btf_fd = static_cast<uint32_t>(btf.get());
  attr.func_info = reinterpret_cast<uint64_t>(functions.func_info.data());
  attr.func_info_cnt = static_cast<uint32_t>(functions.func_info.size());
  attr.func_info_rec_size = functions.func_info.empty() ? 0 : sizeof(bpf_func_info);
  attr.log_level = log_level;
  attr.log_buf = reinterpret_cast<uint64_t>(text.data());
  attr.log_size = static_cast<uint32_t>(text.size());
  KernelVerdict verdict;
  verdict.program = UniqueFd(static_cast<int>(kernel_bpf(BPF_PROG_LOAD, &attr)));
  verdict.code = verdict.program ? 0 : errno;
  if (!text.empty()) verdict.log = text.data();
  return verdict;
}

}  // namespace sluice::bpf
