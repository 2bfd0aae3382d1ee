// Kind `load`: milliseconds to compile programs of some sizes, warm, and to verify them.
#include <algorithm>

#include "bpf/jit/jit.hpp"
#include "bpf/loader/loader.hpp"
#include "bpf/verifier/verifier.hpp"
#include "tests/bench/kinds.hpp"

namespace sluice::bench {
namespace {

struct Size {
  const char* name;
  int blocks;   // of about nine instructions each
  int lookups;  // in a hash, in as many of the blocks
};
constexpr Size kSizes[] = {{"10 instructions", 0, 0},
                           {"100 instructions", 9, 0},
                           {"100 instructions, 1 hash lookup", 8, 1},
                           {"100 instructions, 3 hash lookups", 6, 3},
                           {"1,000 instructions", 108, 0},
                           {"1,000 instructions, 3 hash lookups", 105, 3},
                           {"4,000 instructions", 440, 0}};

constexpr double kNsInMs = 1e6;

}  // namespace

void bench_load(Bench& bench) {
  Effort effort = bench.effort;
  effort.rounds = std::min(effort.rounds, 11);
  effort.round_ns = 0;  // one at a time
  for (const Size& size : kSizes) {
    const auto object = bench.workshop.bpf_object(
        "tests/bench/programs/blocks.bpf.c",
        "-DBLOCKS=" + std::to_string(size.blocks) + " -DLOOKUPS=" + std::to_string(size.lookups));
    if (!object) give_up(object.error().text);
    auto loaded = bpf::load_object(bench.surface, {"blocks", *object, ""});
    if (!loaded) give_up(loaded.error().text);
    const auto& program = *loaded->program;
    const bpf::VerifierInput input{.name = program.name,
                                   .type = program.type,
                                   .gpl_compatible = true,
                                   .insns = program.insns,
                                   .maps = program.maps};
    const std::string name = size.name + (" (" + std::to_string(program.insns.size())) + ")";
    const auto compile = [&] {
      if (!bpf::jit::compile({{loaded->program}, bpf::kLinearLayout}))
        give_up(name + ": does not compile");
    };
    const auto check = [&] {
      if (bpf::verify(input).program == nullptr) give_up(name + ": does not verify");
    };
    report({"load",
            name + ", compile",
            "ms",
            measure(effort, {timed("sluice", effort, kNsInMs, compile)}),
            {},
            ""});
    report({"load",
            name + ", verify",
            "ms",
            measure(effort, {timed("sluice", effort, kNsInMs, check)}),
            {},
            ""});
  }
}

}  // namespace sluice::bench
