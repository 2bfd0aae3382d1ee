// Kind `verify`: our verification beside the kernel's BPF_PROG_LOAD of the same objects, which includes its JIT.
#include <linux/bpf.h>

#include "bpf/loader/loader.hpp"
#include "bpf/verifier/verifier.hpp"
#include "tests/bench/kinds.hpp"
#include "tests/bench/linux_peer.hpp"
#include "tests/bench/program_rows.hpp"

namespace sluice::bench {
namespace {

constexpr double kNsInUs = 1e3;

void verify_row(Bench& bench, const std::string& name, const std::string& source, const std::string& flags) {
  const auto object = bench.workshop.bpf_object(source, flags);
  if (!object) give_up(object.error().text);
  auto loaded = bpf::load_object(bench.surface, {name, *object, ""});
  if (!loaded) return report_missing("verify", name, loaded.error().text.substr(0, loaded.error().text.find('\n')));
  auto peer = make_linux_peer(*object, BPF_PROG_TYPE_SOCKET_FILTER);
  if (!peer) give_up(name + ": sluice loads it, linux does not: " + peer.error().text);
  const auto& program = *loaded->program;
  bpf::VerifierInput input;
  input.name = program.name;
  input.type = program.type;
  input.gpl_compatible = true;
  input.insns = program.insns;
  input.maps = program.maps;
  const auto ours = [&] {
    if (bpf::verify(input).program == nullptr) give_up(name + ": does not verify again");
  };
  const auto theirs = [&] {
    const auto ns = (*peer)->load_ns();
    if (!ns) give_up(name + ": " + ns.error().text);
    return *ns / kNsInUs;
  };
  report({"verify", name, "us",
          measure(bench.effort, {timed("sluice", bench.effort, kNsInUs, ours), {"linux", theirs}}), {}, ""});
}

}  // namespace

void bench_verify(Bench& bench) {
  for (const ProgramRow& row : program_rows()) verify_row(bench, row.name, row.source, "");
  for (const char* blocks : {"100", "400"}) {
    verify_row(bench, std::string(blocks) + " blocks of 10 instructions", "tests/bench/programs/blocks.bpf.c",
               std::string("-DLOOKUPS=0 -DBLOCKS=") + blocks);
  }
}

}  // namespace sluice::bench
