// Runs every verifier case through verify(), and through the kernel where bpf(2) is permitted.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "bpf/verifier/verifier.hpp"

namespace sluice::bpf {
namespace {

struct VerifierCase {
  struct MapShape {
    uint32_t type, key_size, value_size, entries, flags;
  };
  const char* name;
  const char* where;
  bool accept;
  const char* fragment;
  bool gpl;
  bool strict;
  const char* kernel;  // "", "skip REASON" or "differs REASON"
  std::vector<MapShape> maps;
  std::vector<uint64_t> code;
};

#include "verifier_cases.h"

long kernel_bpf(int command, bpf_attr* attr) { return syscall(SYS_bpf, command, attr, sizeof *attr); }

int load_code(bpf_attr* attr) {
  const UniqueFd program(static_cast<int>(kernel_bpf(BPF_PROG_LOAD, attr)));
  return program ? 0 : errno;
}

std::vector<Insn> insns_of(const VerifierCase& one) {
  std::vector<Insn> insns(one.code.size());
  std::memcpy(insns.data(), one.code.data(), one.code.size() * sizeof(Insn));
  return insns;
}

VerifierResult verify_case(const VerifierCase& one) {
  VerifierInput input;
  input.name = "case";
  input.type = BPF_PROG_TYPE_SOCKET_FILTER;
  input.gpl_compatible = one.gpl;
  input.flags = one.strict ? BPF_F_STRICT_ALIGNMENT : 0;
  input.insns = insns_of(one);
  for (const auto& shape : one.maps) {
    auto map = Map::create({"map", shape.type, shape.key_size, shape.value_size, shape.entries, shape.flags});
    EXPECT_TRUE(map.has_value()) << map.error().text;
    input.maps.push_back(*map);
  }
  VerifierResult result = verify(input);
  // What is logged must not change what is decided.
  input.log_level = 2;
  const VerifierResult logged = verify(input);
  EXPECT_EQ(logged.program != nullptr, result.program != nullptr);
  EXPECT_EQ(logged.report.reason, result.report.reason);
  result.log = logged.log;
  return result;
}

// The kernel's answer: 0 or an errno, and its log.
int kernel_verdict(const VerifierCase& one, std::string* log) {
  std::vector<UniqueFd> maps;
  for (const auto& shape : one.maps) {
    bpf_attr attr{};
    attr.map_type = shape.type;
    attr.key_size = shape.key_size;
    attr.value_size = shape.value_size;
    attr.max_entries = shape.entries;
    attr.map_flags = shape.flags;
    maps.emplace_back(static_cast<int>(kernel_bpf(BPF_MAP_CREATE, &attr)));
    EXPECT_TRUE(maps.back()) << std::strerror(errno);
  }
  std::vector<Insn> insns = insns_of(one);
  for (size_t i = 0; i < insns.size(); i += insn_length(insns[i])) {
    Insn& insn = insns[i];
    if (!is_load_imm64(insn) || insn.src_reg == 0 || insn.src_reg > BPF_PSEUDO_MAP_VALUE) continue;
    const auto index = static_cast<size_t>(insn.imm);
    if (index < maps.size()) insn.imm = maps[index].get();
  }
  std::vector<char> text(1 << 20);
  bpf_attr attr{};
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = reinterpret_cast<uint64_t>(insns.data());
  attr.insn_cnt = static_cast<uint32_t>(insns.size());
  attr.license = reinterpret_cast<uint64_t>(one.gpl ? "GPL" : "Proprietary");
  attr.prog_flags = one.strict ? BPF_F_STRICT_ALIGNMENT : 0;
  const int code = load_code(&attr);
  attr.log_level = 1;
  attr.log_buf = reinterpret_cast<uint64_t>(text.data());
  attr.log_size = static_cast<uint32_t>(text.size());
  if (code != 0) load_code(&attr);
  *log = text.data();
  return code;
}

class VerifierCaseTest : public testing::TestWithParam<const VerifierCase*> {};

TEST_P(VerifierCaseTest, VerdictIsAsExpectedAndTheKernels) {
  const VerifierCase& one = *GetParam();
  const VerifierResult result = verify_case(one);
  EXPECT_EQ(result.program != nullptr, one.accept) << one.where << "\n" << result.report.reason << "\n" << result.log;
  if (!one.accept) {
    EXPECT_NE(result.report.reason.find(one.fragment), std::string::npos) << one.where << "\n" << result.report.reason;
    EXPECT_NE(result.log.find(result.report.reason), std::string::npos);
  }
  std::string log;
  const int code = kernel_verdict(one, &log);
  if (code == EPERM) GTEST_SKIP() << "bpf(2) is not permitted here: the kernel was not asked";
  if (std::strncmp(one.kernel, "skip", 4) == 0) GTEST_SKIP() << "the kernel was not asked: " << one.kernel + 4;
  const bool differs = std::strncmp(one.kernel, "differs", 7) == 0;
  EXPECT_EQ(code == 0, one.accept != differs) << one.where << ": the kernel says " << std::strerror(code) << "\n" << log;
  if (code != 0 && !one.accept && !differs) {
    EXPECT_EQ(result.report.code, code) << one.where << "\n" << result.report.reason << "\n" << log;
    if (getenv("SHOW_KERNEL_WORDS") != nullptr && log.find(one.fragment) == std::string::npos) {
      printf("%s\n  ours: %s\n  kernel: %s\n", one.where, result.report.reason.c_str(), log.c_str());
    }
  }
}

std::vector<const VerifierCase*> all_cases() {
  std::vector<const VerifierCase*> out;
  for (const auto& one : kCases) out.push_back(&one);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Cases, VerifierCaseTest, testing::ValuesIn(all_cases()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace sluice::bpf
