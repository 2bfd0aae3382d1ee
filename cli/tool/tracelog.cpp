// `sluice prog tracelog`: what programs print with bpf_trace_printk, as it comes.
#include <cstdio>

#include "cli/tool/daemon_text.hpp"
#include "cli/tool/interrupt.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

constexpr std::chrono::milliseconds kPoll{200};

}  // namespace

Status prog_tracelog(Context& context, Words& words) {
  if (auto status = words.done(); !status) return status;
  catch_interrupts();
  if (!context.plain()) context.json.begin_array();
  std::string next;  // the first line wanted; empty: the oldest there is
  for (bool more = true; more; more = pause_for(kPoll)) {
    const auto text = context.connection.query(next.empty() ? "trace" : "trace " + next);
    if (!text) return fail(text.error());
    const auto answer = Json::parse(*text);
    if (!answer) return fail(answer.error());
    if (const uint64_t lost = (*answer)["lost"].count(); lost > 0)
      std::fprintf(stderr, "sluice: %llu lines lost\n", static_cast<unsigned long long>(lost));
    for (const auto& line : (*answer)["lines"].items()) {
      if (context.plain()) {
        std::printf("%s\n", line.text().c_str());
      } else {
        context.json.string(line.text());
      }
    }
    std::fflush(stdout);
    next = (*answer)["next"].text();
  }
  if (!context.plain()) context.json.end_array();
  return {};
}

}  // namespace sluice::cli
