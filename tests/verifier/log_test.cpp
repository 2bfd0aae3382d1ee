// The verifier's log of every case beside the kernel's, line by line: at level 1, and at level 2
// with the lines that only the kernel writes left out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "cases.hpp"

namespace sluice::bpf {
namespace {

using Lines = std::vector<std::string>;

// What the two cannot have in common, each with its reason.
struct Rewrite {
  std::regex pattern;
  const char* text;
};
const Rewrite kRewrites[] = {
    // The kernel shows its own address of a map, sluice the map's place in the program.
    {std::regex(R"(\(18\) r(\d+) = (0xffff[0-9a-f]{12}|map\[\d+\](\[0\]\+\d+)?))"),
     "(18) r$1 = MAP"},
    {std::regex(R"((\(18\) r\d+ = MAP) +;)"), "$1 ;"},
    // The words that Debian's bpftool looks for.
    {std::regex("program of this type cannot use helper (bpf_\\w+#\\d+)"), "unknown func $1"},
    {std::regex("verification time \\d+ usec"), "verification time N usec"},
};

// Traces of how the kernel gets at liveness and precision, which sluice gets at otherwise. A state
// that they stand before is on a line of its own.
const std::regex kKernelOnly(
    R"((Live regs before insn:|[ \d]+: [.\d]{10} .*|\([\d,]+\) (frame|live).*|)"
    R"(SCC .*|mark_precise: .*|\s*))");
const std::regex kState(
    R"((\d+: \([0-9a-f]{2}\) .*?)? *(;|\d+:)( frame\d+:)?(( R\d+=| fp-| refs=).*)?)");

Lines lines_of(std::string log, bool traces) {
  // One message of the kernel's has no end of line.
  const std::string unended = "map for tail call";
  if (const size_t at = log.find(unended);
      at != std::string::npos && log[at + unended.size()] != '\n') {
    log.insert(at + unended.size(), "\n");
  }
  Lines out;
  std::istringstream stream(log);
  for (std::string line; std::getline(stream, line);) {
    if (!traces && std::regex_match(line, kKernelOnly)) continue;
    for (const Rewrite& rewrite : kRewrites)
      line = std::regex_replace(line, rewrite.pattern, rewrite.text);
    std::smatch parts;
    if (!traces && std::regex_match(line, parts, kState)) {
      if (parts[1].matched) out.push_back(parts[1]);
      line = parts[3].str() + parts[4].str();
      if (line.empty()) continue;
    }
    out.push_back(line);
  }
  return out;
}

// A log that its buffer cannot hold loses its beginning.
void keep_last(Lines* lines) {
  constexpr size_t kKept = 500;
  if (lines->size() > kKept) lines->erase(lines->begin(), lines->end() - kKept);
}
std::string last_part(const std::string& log) {
  constexpr size_t kLooked = 200'000;
  return log.size() > kLooked ? log.substr(log.find('\n', log.size() - kLooked) + 1) : log;
}

// "": none.
std::string first_difference(Lines ours, Lines kernels) {
  keep_last(&ours);
  keep_last(&kernels);
  const size_t count = std::max(ours.size(), kernels.size());
  for (size_t i = 0; i < count; i++) {
    const std::string here = i < ours.size() ? ours[i] : "(nothing)";
    const std::string there = i < kernels.size() ? kernels[i] : "(nothing)";
    if (here != there)
      return "line " + std::to_string(i + 1) + "\n  ours:   " + here + "\n  kernel: " + there;
  }
  return {};
}

bool log_differs(const VerifierCase& one, uint32_t level) {
  const std::string log = one.log;
  return log.substr(0, log.find(' ')).find(std::to_string(level)) != std::string::npos;
}

bool has_callback(const VerifierCase& one) { return !case_input(one, 0).functions.btf.empty(); }

class VerifierLog : public testing::TestWithParam<const VerifierCase*> {
 protected:
  void compare(uint32_t level, bool traces) {
    const VerifierCase& one = *GetParam();
    if (one.kernel_differs() || one.kernel_skipped()) GTEST_SKIP() << one.kernel;
    if (has_callback(one)) GTEST_SKIP() << "states round a callback are written otherwise";
    if (log_differs(one, level)) GTEST_SKIP() << one.log;
    const VerifierResult result = verify(case_input(one, level).input);
    const KernelVerdict kernel = kernel_verdict(one, level);
    if (kernel.code == EPERM)
      GTEST_SKIP() << "bpf(2) is not permitted here: the kernel was not asked";
    if (result.report.reason.ends_with("is not implemented")) GTEST_SKIP() << result.report.reason;
    EXPECT_EQ(first_difference(lines_of(last_part(result.log), traces),
                               lines_of(last_part(kernel.log), traces)),
              "")
        << one.where << "\nours:\n"
        << result.log << "kernel's:\n"
        << kernel.log;
  }
};

TEST_P(VerifierLog, IsTheKernelsAtLevel1) { compare(1, true); }
TEST_P(VerifierLog, IsTheKernelsAtLevel2) { compare(2, false); }
TEST_P(VerifierLog, IsTheKernelsAtLevel4) { compare(4, true); }

INSTANTIATE_TEST_SUITE_P(Cases, VerifierLog, testing::ValuesIn(all_cases()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace sluice::bpf
