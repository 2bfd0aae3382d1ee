// Programs as the field writes them, each loaded here and, where bpf(2) is permitted, by bpftool into the kernel: both
// must accept it. Sizes are those of programs the field runs: neither toys nor padding.
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bpf/loader/libbpf_session.hpp"
#include "bpf/surface/surface.hpp"

namespace sluice::bpf {
namespace {

constexpr size_t kObjectCount = 20;
constexpr size_t kInsnsMin = 200;
constexpr size_t kInsnsMax = 3000;

std::vector<std::string> objects() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(SLUICE_VERIFIER_OBJECTS)) {
    if (entry.path().string().ends_with(".bpf.o")) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

using Object = std::unique_ptr<bpf_object, decltype(&bpf_object__close)>;

Object open_object(const std::string& path) { return {bpf_object__open(path.c_str()), bpf_object__close}; }

std::vector<std::string> programs_of(const std::string& path) {
  const Object object = open_object(path);
  std::vector<std::string> out;
  bpf_program* program = nullptr;
  while (object != nullptr && (program = bpf_object__next_program(object.get(), program)) != nullptr) {
    out.emplace_back(bpf_program__name(program));
  }
  return out;
}

struct Verdict {
  std::string refusal;  // "": accepted
  size_t insns = 0;     // with the functions the program calls
};

std::string refusal_of(bpf_object* object, LibbpfSession& session, const std::string& name) {
  if (bpf_object__load(object) == 0) return {};
  const LoadFailure* failure = session.failure_of(name);
  if (failure == nullptr) return "refused before the program: " + session.take_messages();
  // One that calls a helper without a body has been verified before that is said.
  if (failure->error.text.find("is not implemented") != std::string::npos) return {};
  return failure->error.text + "\n" + failure->details + failure->log.substr(0, 6000);
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
  Verdict verdict{refusal_of(object.get(), session, name)};
  program = bpf_object__find_program_by_name(object.get(), name.c_str());
  if (program != nullptr) verdict.insns = bpf_program__insn_cnt(program);
  return verdict;
}

class VerifierObject : public testing::TestWithParam<std::string> {};

TEST_P(VerifierObject, IsAcceptedByBoth) {
  const std::string& path = GetParam();
  const auto programs = programs_of(path);
  ASSERT_FALSE(programs.empty()) << path;
  for (const std::string& name : programs) {
    const Verdict verdict = verdict_here(path, name);
    EXPECT_EQ(verdict.refusal, "") << name;
    EXPECT_GE(verdict.insns, kInsnsMin) << name;
    EXPECT_LE(verdict.insns, kInsnsMax) << name;
    RecordProperty(name, static_cast<int>(verdict.insns));
  }
  if (::geteuid() != 0 || std::system("command -v bpftool >/dev/null") != 0) {
    GTEST_SKIP() << "the kernel was not asked: that needs root and bpftool";
  }
  const std::string load = "unshare -m sh -c 'mount -t bpf bpf /sys/fs/bpf || exit 9; bpftool prog loadall " + path +
                           " /sys/fs/bpf/test >/dev/null 2>&1'";
  const int status = std::system(load.c_str());
  if (WEXITSTATUS(status) == 9) GTEST_SKIP() << "the kernel was not asked: no bpf file system";
  EXPECT_EQ(status, 0) << "the kernel refuses " << path;
}

TEST(VerifierObjects, AreManyEnough) { EXPECT_GE(objects().size(), kObjectCount); }

INSTANTIATE_TEST_SUITE_P(Objects, VerifierObject, testing::ValuesIn(objects()), [](const auto& info) {
  std::string name = std::filesystem::path(info.param).stem().stem();
  name.erase(std::remove(name.begin(), name.end(), '_'), name.end());
  return name;
});

}  // namespace
}  // namespace sluice::bpf
