// Programs as the field writes them, each loaded here and, where bpf(2) is permitted, by bpftool into the kernel: both
// must accept it.
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bpf/loader/loader.hpp"
#include "bpf/surface/surface.hpp"

namespace sluice::bpf {
namespace {

constexpr size_t kObjectCount = 20;

std::vector<std::string> objects() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(SLUICE_VERIFIER_OBJECTS)) {
    if (entry.path().string().ends_with(".bpf.o")) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> programs_of(const std::string& path) {
  const std::unique_ptr<bpf_object, decltype(&bpf_object__close)> object(bpf_object__open(path.c_str()),
                                                                         bpf_object__close);
  std::vector<std::string> out;
  bpf_program* program = nullptr;
  while (object != nullptr && (program = bpf_object__next_program(object.get(), program)) != nullptr) {
    // Subprograms are loaded with those that call them.
    if (bpf_program__type(program) != BPF_PROG_TYPE_UNSPEC) out.emplace_back(bpf_program__name(program));
  }
  return out;
}

class VerifierObject : public testing::TestWithParam<std::string> {};

TEST_P(VerifierObject, IsAcceptedByBoth) {
  const std::string& path = GetParam();
  const auto programs = programs_of(path);
  ASSERT_FALSE(programs.empty()) << path;
  for (const std::string& name : programs) {
    BpfSurface surface;
    const auto loaded = load_object(surface, {.name = "test", .path = path, .program = name});
    // One that calls a helper without a body has been verified before that is said.
    const bool verified = loaded.has_value() || loaded.error().text.find("is not implemented") != std::string::npos;
    EXPECT_TRUE(verified) << name << ": " << (loaded.has_value() ? "" : loaded.error().text.substr(0, 6000));
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
