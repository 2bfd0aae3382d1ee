// transcript [--surface] [SECTION...]: by the bpf system call (the kernel's, or sluice's under
// `sluice exec`), or with
// --surface by a BpfSurface of its own. `--list` names the sections.
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>

#include "bpf/jit/jit.hpp"
#include "bpf/surface/surface.hpp"
#include "tests/smoke/transcripts/transcript.hpp"

namespace {

using namespace transcript;

constexpr std::array kSections{
    Section{"map-create", map_create_rules},   Section{"map-elements", map_elements},
    Section{"map-references", map_references}, Section{"map-batches", map_batches},
    Section{"map-freeze", map_freezing},       Section{"attributes", attribute_rules},
    Section{"ids", ids_and_info},              Section{"prog-load", program_loading},
    Section{"prog-info", program_info},        Section{"test-run", test_runs},
    Section{"btf", btf_loading},               Section{"map-memory", map_memory},
};

long by_kernel(int cmd, void* attr, unsigned size) {
  const long result = ::syscall(__NR_bpf, cmd, attr, size);
  return result < 0 ? -errno : result;
}

long by_surface(int cmd, void* attr, unsigned size) {
  static sluice::bpf::BpfSurface surface({.compile = sluice::bpf::jit::make_program});
  return surface.bpf({}, cmd, static_cast<union bpf_attr*>(attr), size);
}

bool wanted(int count, char** names, std::string_view section) {
  for (int i = 0; i < count; i++) {
    if (section == names[i]) return true;
  }
  return count == 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view first = count > 1 ? arguments[1] : "";
  if (first == "--list") {
    for (const auto& section : kSections) std::puts(section.name);
    return 0;
  }
  const bool surface = first == "--surface";
  const int skip = surface ? 2 : 1;
  for (const auto& section : kSections) {
    if (!wanted(count - skip, arguments + skip, section.name)) continue;
    std::printf("== %s\n", section.name);
    Transcript transcript(surface ? by_surface : by_kernel);
    section.run(transcript);
    std::fflush(stdout);
  }
  return 0;
}
