#include <sys/wait.h>

#include "bpf/verifier/verifier.hpp"
#include "control/compile_server.hpp"
#include "tests/unit/api/api_fixture.hpp"

namespace sluice::control {
namespace {

using bpf::Insn;

// Verified; `length` additions to R0, which starts at 1.
std::shared_ptr<const bpf::AnnotatedProgram> counting_program(int length) {
  std::vector<Insn> insns{{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1}};
  for (int i = 0; i < length; i++)
    insns.push_back({BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_0, 0, 0, 1});
  insns.push_back({BPF_JMP | BPF_EXIT, 0, 0, 0, 0});
  bpf::VerifierInput input;
  input.name = "counting";
  input.type = BPF_PROG_TYPE_SOCKET_FILTER;
  input.gpl_compatible = true;
  input.insns = std::move(insns);
  auto result = bpf::verify(std::move(input));
  EXPECT_NE(result.program, nullptr) << result.log;
  return result.program;
}

uint64_t run(const bpf::jit::CompiledProgram& program) {
  bpf::PacketContext context{};
  return program.code()(&context, nullptr);
}

TEST(CompileServer, ProgramsCompiledElsewhereRunHere) {
  auto server = CompileServer::start();
  ASSERT_TRUE(server) << server.error().text;
  for (const int length : {0, 1, 100}) {
    auto program = (*server)->make_program(counting_program(length));
    ASSERT_TRUE(program) << program.error().text;
    EXPECT_EQ(run(**program), static_cast<uint64_t>(length) + 1);
  }
}

TEST(CompileServer, TheObjectCodeIsThatOfOurOwnProcess) {
  auto server = CompileServer::start();
  ASSERT_TRUE(server);
  const auto program = counting_program(3);
  const auto image = bpf::jit::make_program_image(*program);
  const auto here = bpf::jit::compile(image);
  const auto there = (*server)->compile(image);
  ASSERT_TRUE(here && there);
  EXPECT_EQ(here->elf, there->elf);
}

TEST(CompileServer, AnErrorOfTheCompilersArrives) {
  auto server = CompileServer::start();
  ASSERT_TRUE(server);
  const bpf::jit::ChainImage nothing{bpf::jit::ChainImage::Entry::program, {}, {}};
  const auto here = bpf::jit::compile(nothing);
  const auto there = (*server)->compile(nothing);
  ASSERT_FALSE(here || there);
  EXPECT_EQ(there.error().code, here.error().code);
}

// The child's memory does not suffice for a long program. The server lives and says so each time.
TEST(CompileServer, AChildThatDiesIsTheErrorOfThatLoadAlone) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer takes minutes to say that memory is out";
#endif
  auto server = CompileServer::start({.memory_bytes = 16 << 20});
  ASSERT_TRUE(server);
  const auto image = bpf::jit::make_program_image(*counting_program(200'000));
  for (int i = 0; i < 3; i++) {
    const auto code = (*server)->compile(image);
    ASSERT_FALSE(code);
    EXPECT_EQ(code.error().code, ENOMEM) << code.error().text;
  }
}

TEST(CompileServer, AChildThatHangsIsEnded) {
  auto server = CompileServer::start({.wall_seconds = 0});
  ASSERT_TRUE(server);
  const auto code = (*server)->compile(bpf::jit::make_program_image(*counting_program(3)));
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().code, ETIMEDOUT) << code.error().text;
}

TEST(CompileServer, ItLeavesNoProcessBehind) {
  {
    auto server = CompileServer::start();
    ASSERT_TRUE(server);
    EXPECT_TRUE((*server)->make_program(counting_program(1)));
  }
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace sluice::control
