// Runs every verifier case through verify(), and through the kernel where bpf(2) is permitted.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "bpf/interp/interp.hpp"
#include "bpf/progs/chain_step.hpp"
#include "bpf/isa/disasm.hpp"
#include "cases.hpp"

namespace sluice::bpf {
namespace {

constexpr size_t kHeader = 14;

// The kernel takes the Ethernet header off a socket filter's packet: it gets a copy of its own in
// front.
uint32_t run_in_kernel(const VerifierCase& one, int program, const std::vector<uint8_t>& packet) {
  std::vector<uint8_t> data = packet;
  if (one.type == BPF_PROG_TYPE_SOCKET_FILTER)
    data.insert(data.begin(), packet.begin(), packet.begin() + kHeader);
  bpf_attr attr{};
  attr.test.prog_fd = static_cast<uint32_t>(program);
  attr.test.data_in = reinterpret_cast<uint64_t>(data.data());
  attr.test.data_size_in = static_cast<uint32_t>(data.size());
  EXPECT_EQ(kernel_bpf(BPF_PROG_TEST_RUN, &attr), 0) << std::strerror(errno);
  return attr.test.retval;
}

uint32_t run_here(const AnnotatedProgram& program, std::vector<uint8_t> packet) {
  RunEnv env;
  const auto length = static_cast<uint32_t>(packet.size());
  const LinearPacket linear{.buffer = packet.data(), .captured = length, .wire_length = length};
  PacketContext ctx;
  load_context(&ctx, kLinearLayout, &linear, &env);
  enter_stack(&ctx);
  return static_cast<uint32_t>(interpret(program, &ctx));
}

VerifierResult verify_case(const VerifierCase& one) {
  VerifierResult result = verify(case_input(one, 0).input);
  // What is logged must not change what is decided.
  const VerifierResult logged = verify(case_input(one, 2).input);
  EXPECT_EQ(logged.program != nullptr, result.program != nullptr);
  EXPECT_EQ(logged.report.reason, result.report.reason);
  result.log = logged.log;
  return result;
}

// What the kernel shows it runs; empty: it does not say.
std::vector<Insn> kernel_insns(int program) {
  bpf_prog_info info{};
  std::vector<Insn> insns(BPF_MAXINSNS);
  info.xlated_prog_insns = reinterpret_cast<uint64_t>(insns.data());
  info.xlated_prog_len = static_cast<uint32_t>(insns.size() * sizeof(Insn));
  bpf_attr attr{};
  attr.info.bpf_fd = static_cast<uint32_t>(program);
  attr.info.info_len = sizeof info;
  attr.info.info = reinterpret_cast<uint64_t>(&info);
  if (kernel_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) != 0) return {};
  insns.resize(info.xlated_prog_len / sizeof(Insn));
  return insns;
}

// Memory but the stack, helpers, packet loads and divisions the kernel writes in instructions of
// its own.
bool is_plain(const Insn& insn) {
  const bool divides = is_alu(insn) && (alu_op(insn) == BPF_DIV || alu_op(insn) == BPF_MOD);
  if (divides || is_helper_call(insn) || insn_class(insn) == BPF_LD) return false;
  if (insn_class(insn) == BPF_LDX) return insn.src_reg == BPF_REG_10;
  const bool stores = insn_class(insn) == BPF_ST || insn_class(insn) == BPF_STX;
  return !stores || insn.dst_reg == BPF_REG_10;
}

// The kernel's dead code is ours. -> whether the two could be compared
bool has_same_insns(const AnnotatedProgram& program, int kernel_program) {
  const std::vector<Insn> kernels = kernel_insns(kernel_program);
  if (!std::ranges::all_of(program.insns, is_plain) || !std::ranges::all_of(kernels, is_plain))
    return false;
  auto text = [](const std::vector<Insn>& insns, bool kernels) {
    std::string out;
    for (Insn insn : insns) {
      // The kernel shows a call's distance there, and the number of the subprogram as immediate.
      if (kernels && is_local_call(insn)) insn.imm = insn.off;
      out += disassemble(&insn) + "\n";
    }
    return out;
  };
  EXPECT_EQ(text(program.insns, false), text(kernels, true));
  return true;
}

class VerifierCaseTest : public testing::TestWithParam<const VerifierCase*> {};

TEST_P(VerifierCaseTest, VerdictIsAsExpectedAndTheKernels) {
  const VerifierCase& one = *GetParam();
  const VerifierResult result = verify_case(one);
  // A helper without a body verifies, and is refused after that.
  const bool verified = result.program != nullptr ||
                        result.report.reason.find("is not implemented") != std::string::npos;
  EXPECT_EQ(verified, one.accept) << one.where << "\n"
                                  << result.report.reason << "\n"
                                  << result.log;
  if (!one.accept) {
    EXPECT_NE(result.report.reason.find(one.fragment), std::string::npos) << one.where << "\n"
                                                                          << result.report.reason;
    EXPECT_NE(result.log.find(result.report.reason), std::string::npos);
  }
  if (result.program != nullptr) {
    for (const auto& run : one.runs)
      EXPECT_EQ(run_here(*result.program, run.packet), run.result) << one.where;
  }
  KernelVerdict kernel = kernel_verdict(one, 0);
  if (kernel.code == EPERM)
    GTEST_SKIP() << "bpf(2) is not permitted here: the kernel was not asked";
  if (one.kernel_skipped()) GTEST_SKIP() << "the kernel was not asked: " << one.kernel + 4;
  if (kernel.program) {
    if (result.program != nullptr && has_same_insns(*result.program, kernel.program.get())) {
      RecordProperty("same_insns", 1);
    }
    for (const auto& run : one.runs) {
      EXPECT_EQ(run_in_kernel(one, kernel.program.get(), run.packet), run.result) << one.where;
    }
  } else {
    kernel.log = kernel_verdict(one, 1).log;
  }
  EXPECT_EQ(kernel.code == 0, one.accept != one.kernel_differs())
      << one.where << ": the kernel says " << std::strerror(kernel.code) << "\n" << kernel.log;
  if (kernel.code != 0 && !one.accept && !one.kernel_differs()) {
    EXPECT_EQ(result.report.code, kernel.code) << one.where << "\n"
                                               << result.report.reason << "\n"
                                               << kernel.log;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, VerifierCaseTest, testing::ValuesIn(all_cases()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace sluice::bpf
