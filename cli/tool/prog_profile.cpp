// `sluice prog profile`: how often a program ran and how long, over a time, from what bpf(2)
// counts.
#include <bpf/bpf.h>

#include <cstdio>
#include <optional>

#include "cli/tool/interrupt.hpp"
#include "cli/tool/objects.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

// bpftool counts these with events of the CPU around each run, by a program on the program's entry
// and exit.
constexpr const char* kCpuEvents[] = {"cycles",     "instructions", "l1d_loads",
                                      "llc_misses", "itlb_misses",  "dtlb_misses"};

Status take_metrics(Words& words) {
  while (!words.empty()) {
    for (const char* event : kCpuEvents) {
      if (!words.next_is(event)) continue;
      return fail(EOPNOTSUPP,
                  std::string(event) +
                      " cannot be counted for one program: the programs of a chain are compiled "
                      "into one function; run_time_ns can");
    }
    if (!words.accept("run_time_ns")) return words.done();
  }
  return {};
}

void print_reading(uint64_t runs, uint64_t nanoseconds) {
  std::printf("%18llu %-20s\n%18llu %-20s", static_cast<unsigned long long>(runs), "run_cnt",
              static_cast<unsigned long long>(nanoseconds), "run_time_ns");
  if (runs != 0)
    std::printf("#  %.1f ns per run", static_cast<double>(nanoseconds) / static_cast<double>(runs));
  std::printf("\n");
}

}  // namespace

Status prog_profile(Context& context, Words& words) {
  const auto fd = take_object(words, Kind::prog);
  if (!fd) return fail(fd.error());
  std::optional<std::chrono::seconds> duration;
  if (words.accept("duration")) {
    const auto seconds = words.take_number("duration", 1'000'000);
    if (!seconds) return fail(seconds.error());
    if (*seconds == 0) return usage("duration is at least 1 second");
    duration = std::chrono::seconds(*seconds);
  }
  if (auto status = take_metrics(words); !status) return status;
  // While this descriptor lives, runs are counted and timed.
  const UniqueFd stats(::bpf_enable_stats(BPF_STATS_RUN_TIME));
  if (!stats) return fail(errno_error(errno, "count runs"));
  catch_interrupts();
  const auto before = prog_info(fd->get());
  if (!before) return fail(before.error());
  if (duration) {
    (void)pause_for(*duration);
  } else {
    while (pause_for(std::chrono::seconds(1))) {
    }
  }
  const auto after = prog_info(fd->get());
  if (!after) return fail(after.error());
  const uint64_t runs = after->run_cnt - before->run_cnt;
  const uint64_t nanoseconds = after->run_time_ns - before->run_time_ns;
  if (context.plain()) return print_reading(runs, nanoseconds), Status{};
  JsonWriter& out = context.json;
  out.begin_array();
  out.begin_object();
  out.member("metric", "run_time_ns");
  out.member("run_cnt", runs);
  out.member("value", nanoseconds);
  out.end_object();
  out.end_array();
  return {};
}

}  // namespace sluice::cli
