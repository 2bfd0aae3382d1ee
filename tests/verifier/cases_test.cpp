// Runs every verifier case through verify(), and through the kernel where bpf(2) is permitted.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "bpf/interp/interp.hpp"
#include "bpf/verifier/verifier.hpp"
#include "tests/unit/jit/static_functions.hpp"

namespace sluice::bpf {
namespace {

struct VerifierCase {
  struct MapShape {
    uint32_t type, key_size, value_size, entries, flags;
  };
  struct Run {
    std::vector<uint8_t> packet;
    uint32_t result;
  };
  const char* name;
  const char* where;
  bool accept;
  const char* fragment;
  bool gpl;
  bool strict;
  const char* kernel;  // "", "skip REASON" or "differs REASON"
  uint32_t type;       // enum bpf_prog_type
  std::vector<MapShape> maps;
  std::vector<Run> runs;
  std::vector<uint64_t> code;
};

#include "verifier_cases.h"

long kernel_bpf(int command, bpf_attr* attr) { return syscall(SYS_bpf, command, attr, sizeof *attr); }

UniqueFd load_btf(const std::vector<uint8_t>& blob) {
  if (blob.empty()) return {};
  bpf_attr attr{};
  attr.btf = reinterpret_cast<uint64_t>(blob.data());
  attr.btf_size = static_cast<uint32_t>(blob.size());
  return UniqueFd(static_cast<int>(kernel_bpf(BPF_BTF_LOAD, &attr)));
}

int load_code(bpf_attr* attr, UniqueFd* program) {
  *program = UniqueFd(static_cast<int>(kernel_bpf(BPF_PROG_LOAD, attr)));
  return *program ? 0 : errno;
}

constexpr size_t kHeader = 14;

// The kernel takes the Ethernet header off a socket filter's packet: it gets a copy of its own in front.
uint32_t run_in_kernel(const VerifierCase& one, int program, const std::vector<uint8_t>& packet) {
  std::vector<uint8_t> data = packet;
  if (one.type == BPF_PROG_TYPE_SOCKET_FILTER) data.insert(data.begin(), packet.begin(), packet.begin() + kHeader);
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
  return static_cast<uint32_t>(interpret(program, &ctx));
}

std::vector<Insn> insns_of(const VerifierCase& one) {
  std::vector<Insn> insns(one.code.size());
  std::memcpy(insns.data(), one.code.data(), one.code.size() * sizeof(Insn));
  return insns;
}

VerifierResult verify_case(const VerifierCase& one) {
  VerifierInput input;
  input.name = "case";
  input.type = one.type;
  input.gpl_compatible = one.gpl;
  input.flags = one.strict ? BPF_F_STRICT_ALIGNMENT : 0;
  input.insns = insns_of(one);
  const StaticFunctions functions = static_functions_of(input.insns);
  input.btf = functions.btf;
  input.func_info = functions.func_info;
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
int kernel_verdict(const VerifierCase& one, std::string* log, UniqueFd* program) {
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
  const int code = load_code(&attr, program);
  attr.log_level = 1;
  attr.log_buf = reinterpret_cast<uint64_t>(text.data());
  attr.log_size = static_cast<uint32_t>(text.size());
  UniqueFd again;
  if (code != 0) load_code(&attr, &again);
  *log = text.data();
  return code;
}

class VerifierCaseTest : public testing::TestWithParam<const VerifierCase*> {};

TEST_P(VerifierCaseTest, VerdictIsAsExpectedAndTheKernels) {
  const VerifierCase& one = *GetParam();
  const VerifierResult result = verify_case(one);
  // A helper without a body verifies, and is refused after that.
  const bool verified = result.program != nullptr || result.report.reason.find("is not implemented") != std::string::npos;
  EXPECT_EQ(verified, one.accept) << one.where << "\n" << result.report.reason << "\n" << result.log;
  if (!one.accept) {
    EXPECT_NE(result.report.reason.find(one.fragment), std::string::npos) << one.where << "\n" << result.report.reason;
    EXPECT_NE(result.log.find(result.report.reason), std::string::npos);
  }
  if (result.program != nullptr) {
    for (const auto& run : one.runs) EXPECT_EQ(run_here(*result.program, run.packet), run.result) << one.where;
  }
  std::string log;
  UniqueFd program;
  const int code = kernel_verdict(one, &log, &program);
  if (code == EPERM) GTEST_SKIP() << "bpf(2) is not permitted here: the kernel was not asked";
  if (std::strncmp(one.kernel, "skip", 4) == 0) GTEST_SKIP() << "the kernel was not asked: " << one.kernel + 4;
  if (program) {
    for (const auto& run : one.runs) EXPECT_EQ(run_in_kernel(one, program.get(), run.packet), run.result) << one.where;
  }
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
