// Kind `verify`: our verification beside the kernel's BPF_PROG_LOAD of the same objects, which
// includes its JIT.
#include <linux/bpf.h>

#include <algorithm>

#include "bpf/loader/loader.hpp"
#include "bpf/verifier/verifier.hpp"
#include "tests/bench/kinds.hpp"
#include "tests/bench/linux_peer.hpp"
#include "tests/bench/program_rows.hpp"
#include "tests/unit/jit/insn_build.hpp"

namespace sluice::bench {
namespace {

constexpr double kNsInUs = 1e3;
constexpr double kNsInS = 1e9;

void verify_row(Bench& bench, const std::string& name, const std::string& source,
                const std::string& entry, const std::string& flags) {
  const auto object = bench.workshop.bpf_object(source, flags);
  if (!object) give_up(object.error().text);
  auto loaded = bpf::load_object(bench.surface, {name, *object, entry});
  if (!loaded)
    return report_missing("verify", name,
                          loaded.error().text.substr(0, loaded.error().text.find('\n')));
  auto peer = make_linux_peer(*object, entry, BPF_PROG_TYPE_SOCKET_FILTER);
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
  report({"verify",
          name,
          "us",
          measure(bench.effort, {timed("sluice", bench.effort, kNsInUs, ours), {"linux", theirs}}),
          {},
          ""});
}

using bpf::build::Code;

// Each round doubles the paths, and each path's number is its own and matters.
Code doubling_paths() {
  using namespace bpf::build;
  Code code;
  code << mov_reg(6, 1) << mov(7, 0);
  for (int i = 0; i < 40; i++) {
    code << load(BPF_W, 1, 6, 0) << alu(BPF_LSH, 7, 1) << jump(BPF_JEQ, 1, i, 1)
         << alu(BPF_OR, 7, 1);
  }
  code << alu(BPF_AND, 7, 31) << mov_reg(2, 10) << alu(BPF_ADD, 2, -32) << alu_reg(BPF_ADD, 2, 7)
       << load(BPF_B, 0, 2, 0);
  return code << exit();
}

Code long_loop() {
  using namespace bpf::build;
  Code code;
  return code << mov(7, 0) << alu(BPF_ADD, 7, 1) << jump(BPF_JLT, 7, 10'000'000, -2) << mov(0, 0)
              << exit();
}

// Many addresses that rest on one number, and no jump between them.
Code straight_code() {
  using namespace bpf::build;
  Code code;
  code << mov_reg(6, 1);
  for (int i = 0; i < 12; i++) code << load(BPF_W, 1, 6, 0) << jump(BPF_JEQ, 1, i, 0);
  code << load(BPF_W, 7, 6, 0) << alu(BPF_AND, 7, 7);
  for (int i = 0; i < 100'000; i++) {
    code << mov_reg(2, 10) << alu(BPF_ADD, 2, -8) << alu_reg(BPF_ADD, 2, 7) << load(BPF_B, 0, 2, 0);
  }
  return code << mov(0, 0) << exit();
}

// Made to take long. refusal: a part of what is said of it; empty: it is accepted.
void hostile_row(Bench& bench, const std::string& name, const Code& code,
                 const std::string& refusal) {
  Effort effort = bench.effort;
  effort.rounds = std::min(effort.rounds, 5);
  effort.round_ns = 0;  // one at a time
  bpf::VerifierInput input;
  input.type = BPF_PROG_TYPE_SOCKET_FILTER;
  input.gpl_compatible = true;
  input.insns = code;
  const auto pass = [&] {
    const bpf::VerifierResult result = bpf::verify(input);
    const bool expected = refusal.empty() ? result.program != nullptr
                                          : result.report.reason.find(refusal) != std::string::npos;
    if (!expected) give_up(name + ": " + result.report.reason);
  };
  report({"verify",
          "hostile: " + name,
          "s",
          measure(effort, {timed("sluice", effort, kNsInS, pass)}),
          {},
          ""});
}

}  // namespace

void bench_verify(Bench& bench) {
  for (const ProgramRow& row : program_rows())
    verify_row(bench, row.name, row.source, row.entry, "");
  for (const char* blocks : {"100", "400"}) {
    verify_row(bench, std::string(blocks) + " blocks of 10 instructions",
               "tests/bench/programs/blocks.bpf.c", "blocks",
               std::string("-DLOOKUPS=0 -DBLOCKS=") + blocks);
  }
  hostile_row(bench, "paths that double", doubling_paths(), "too large");
  hostile_row(bench, "loop of 10,000,000 rounds", long_loop(), "too large");
  hostile_row(bench, "100,000 addresses without a jump (accepted)", straight_code(), "");
}

}  // namespace sluice::bench
