// Kind `hardening`: what masked array indices and blinded immediates cost, beside the same program
// as root loads it.
#include "tests/bench/kinds.hpp"
#include "tests/bench/program_rows.hpp"
#include "tests/bench/runner.hpp"

namespace sluice::bench {
namespace {

struct Kind {
  const char* name;
  bpf::Hardening hardening;
};
constexpr Kind kKinds[] = {{"indices masked", {.mask_indices = true}},
                           {"immediates blinded", {.blinding_seed = 1}}};
constexpr const char* kPrograms[] = {"protocol count", "size histogram", "TCP port filter",
                                     "5-tuple ACL"};

constexpr uint32_t kPackets = 512;
constexpr uint32_t kFlows = 512;

std::unique_ptr<Runner> runner_of(const bpf::AnnotatedProgram& program,
                                  const bpf::Hardening& hardening, const Traffic& traffic) {
  auto copy = std::make_shared<bpf::AnnotatedProgram>(program);
  copy->hardening = hardening;
  auto runner = Runner::make(std::move(copy), bpf::kLinearLayout, traffic.packets);
  if (!runner) give_up(program.name + ": " + runner.error().text);
  return std::move(*runner);
}

void measure_row(Bench& bench, const ProgramRow& row, const Kind& kind, const Traffic& traffic) {
  const auto object = bench.workshop.bpf_object(row.source, "");
  if (!object) give_up(object.error().text);
  std::string why;
  const auto loaded = load_row(bench, *object, row, traffic, &why);
  if (!why.empty()) give_up(why);
  const auto hardened = runner_of(*loaded.program, kind.hardening, traffic);
  const auto plain = runner_of(*loaded.program, {}, traffic);
  std::vector<uint32_t> expected(kPackets);
  std::vector<uint32_t> verdicts(kPackets);
  plain->run(expected.data());
  hardened->run(verdicts.data());
  if (verdicts != expected)
    give_up(std::string(row.name) + ", " + kind.name + ": other verdicts than without");
  const auto contestant = [&](const char* name, Runner& runner) {
    return timed(name, bench.effort, kPackets, [&] { runner.run(verdicts.data()); });
  };
  report({"hardening",
          std::string(row.name) + ", " + kind.name,
          "ns/packet",
          measure(bench.effort, {contestant("sluice", *hardened), contestant("plain", *plain)}),
          {},
          kind.name});
}

}  // namespace

void bench_hardening(Bench& bench) {
  const Traffic traffic(kPackets, kFlows);
  for (const Kind& kind : kKinds) {
    for (const ProgramRow& row : program_rows()) {
      for (const char* name : kPrograms) {
        if (row.name == std::string_view(name)) measure_row(bench, row, kind, traffic);
      }
    }
  }
}

}  // namespace sluice::bench
