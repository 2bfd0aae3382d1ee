// Programs as the field writes them, each loaded here and, where bpf(2) is permitted, into the
// kernel: both must accept it, and we may not need many more steps for it. Sizes are those of
// programs the field runs: neither toys nor padding.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "bpf/loader/libbpf_session.hpp"
#include "bpf/surface/surface.hpp"

namespace sluice::bpf {
namespace {

constexpr size_t kObjectCount = 20;
constexpr size_t kInsnsMin = 200;
constexpr size_t kInsnsMax = 3000;
constexpr double kStepsRatio = 1.5;  // ours to the kernel's
constexpr double kFewSteps = 50;
constexpr int kNotPermitted = 77;

std::vector<std::string> objects() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(SLUICE_VERIFIER_OBJECTS)) {
    if (entry.path().string().ends_with(".bpf.o")) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

using Object = std::unique_ptr<bpf_object, decltype(&bpf_object__close)>;

Object open_object(const std::string& path) {
  return {bpf_object__open(path.c_str()), bpf_object__close};
}

std::vector<std::string> programs_of(const std::string& path) {
  const Object object = open_object(path);
  std::vector<std::string> out;
  bpf_program* program = nullptr;
  while (object != nullptr &&
         (program = bpf_object__next_program(object.get(), program)) != nullptr) {
    out.emplace_back(bpf_program__name(program));
  }
  return out;
}

struct Verdict {
  std::string refusal;  // "": accepted
  size_t insns = 0;     // with the functions the program calls
  uint32_t steps = 0;   // instructions that the verifier walked
};

// The line that ends every log, also that of a refusal: "processed N insns ...".
uint32_t steps_in(const std::string& log) {
  const size_t at = log.rfind("processed ");
  return at == std::string::npos
             ? 0
             : static_cast<uint32_t>(std::strtoul(log.c_str() + at + 10, nullptr, 10));
}

Verdict verdict_of(bpf_object* object, LibbpfSession& session, const bpf_program* program) {
  const bool accepted = bpf_object__load(object) == 0;
  Verdict verdict{"", bpf_program__insn_cnt(program)};
  if (accepted) {
    bpf_prog_info info{};
    uint32_t size = sizeof info;
    if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) == 0)
      verdict.steps = info.verified_insns;
    return verdict;
  }
  const LoadFailure* failure = session.failure_of(bpf_program__name(program));
  if (failure == nullptr) return {"refused before the program: " + session.take_messages()};
  // One that calls a helper without a body has been verified before that is said.
  verdict.steps = steps_in(failure->log);
  if (failure->error.text.find("is not implemented") != std::string::npos) return verdict;
  verdict.refusal = failure->error.text + "\n" + failure->details + failure->log.substr(0, 6000);
  return verdict;
}

Verdict verdict_here(const std::string& path, const std::string& name) {
  BpfSurface surface;
  LibbpfSession session(surface);
  const Object object = open_object(path);
  if (object == nullptr) return {"not a BPF object"};
  bpf_program* program = nullptr;
  while ((program = bpf_object__next_program(object.get(), program)) != nullptr) {
    bpf_program__set_autoload(program, name == bpf_program__name(program));
  }
  program = bpf_object__find_program_by_name(object.get(), name.c_str());
  return program == nullptr ? Verdict{"no such program"}
                            : verdict_of(object.get(), session, program);
}

// The kernel's steps by program's name; empty: it refuses the object. False: it cannot be asked
// here.
bool ask_kernel(const std::string& path, std::map<std::string, uint32_t>* steps) {
  FILE* pipe = popen((std::string(SLUICE_KERNEL_COUNTS) + " " + path).c_str(), "r");
  if (pipe == nullptr) return false;
  char line[512];
  while (std::fgets(line, sizeof line, pipe) != nullptr) {
    std::istringstream words(line);
    std::string object;
    std::string program;
    words >> object >> program >> (*steps)[program];
  }
  return WEXITSTATUS(pclose(pipe)) != kNotPermitted;
}

class VerifierObject : public testing::TestWithParam<std::string> {};

TEST_P(VerifierObject, IsAcceptedByBothInAboutAsManySteps) {
  const std::string& path = GetParam();
  const auto programs = programs_of(path);
  ASSERT_FALSE(programs.empty()) << path;
  std::map<std::string, Verdict> ours;
  for (const std::string& name : programs) {
    const Verdict& verdict = ours[name] = verdict_here(path, name);
    EXPECT_EQ(verdict.refusal, "") << name;
    EXPECT_GE(verdict.insns, kInsnsMin) << name;
    EXPECT_LE(verdict.insns, kInsnsMax) << name;
  }
  std::map<std::string, uint32_t> kernels;
  if (!ask_kernel(path, &kernels))
    GTEST_SKIP() << "the kernel was not asked: bpf(2) is not permitted";
  for (const std::string& name : programs) {
    ASSERT_TRUE(kernels.contains(name)) << "the kernel refuses " << path << ", " << name;
    std::printf("%-20s %7u steps, the kernel %7u\n", name.c_str(), ours[name].steps, kernels[name]);
    EXPECT_LE(ours[name].steps, kernels[name] * kStepsRatio + kFewSteps) << name;
  }
}

TEST(VerifierObjects, AreManyEnough) { EXPECT_GE(objects().size(), kObjectCount); }

INSTANTIATE_TEST_SUITE_P(Objects, VerifierObject, testing::ValuesIn(objects()),
                         [](const auto& info) {
                           std::string name = std::filesystem::path(info.param).stem().stem();
                           name.erase(std::remove(name.begin(), name.end(), '_'), name.end());
                           return name;
                         });

}  // namespace
}  // namespace sluice::bpf
