#include "tests/unit/jit/programs.hpp"

#include <gtest/gtest.h>

#include "bpf/interp/interp.hpp"
#include "bpf/jit/jit.hpp"

namespace sluice::bpf {

std::shared_ptr<AnnotatedProgram> annotate(std::vector<Insn> insns, std::vector<uint32_t> starts) {
  auto program = std::make_shared<AnnotatedProgram>();
  program->type = BPF_PROG_TYPE_SOCKET_FILTER;
  program->name = "test";
  program->insns = std::move(insns);
  program->facts.resize(program->insns.size());
  starts.push_back(static_cast<uint32_t>(program->insns.size()));
  for (size_t i = 0; i + 1 < starts.size(); i++)
    program->subprograms.push_back({starts[i], starts[i + 1], 0});
  return program;
}

void note(AnnotatedProgram& program, uint32_t insn, Region region, int32_t offset) {
  program.facts[insn].region = region;
  program.facts[insn].offset = offset;
}

TargetArray::TargetArray(uint32_t entries)
    : Map(MapSpec{"targets", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, entries}) {
  targets_.resize(entries);
  core_.type = BPF_MAP_TYPE_PROG_ARRAY;
  core_.key_size = core_.value_size = 4;
  core_.max_entries = entries;
  core_.value_stride = 8;
  core_.slots = 1;
  core_.values = reinterpret_cast<uint8_t*>(targets_.data());
  core_.spin_lock_offset = -1;
}

BothResults run_both(const std::shared_ptr<AnnotatedProgram>& program,
                     const std::vector<uint8_t>& bytes,
                     std::vector<std::vector<uint8_t>>* packets) {
  BothResults results;
  auto compiled = jit::make_program(program);
  if (!compiled) {
    ADD_FAILURE() << compiled.error().text;
    return results;
  }
  for (const bool jit : {false, true}) {
    std::vector<uint8_t> copy = bytes;
    LinearPacket packet;
    packet.buffer = copy.data();
    packet.captured = packet.wire_length = static_cast<uint32_t>(copy.size());
    RunEnv env;
    PacketContext ctx;
    load_context(&ctx, kLinearLayout, &packet, &env);
    (jit ? results.compiled : results.interpreted) =
        jit ? (*compiled)->code()(&ctx, nullptr) : interpret(*program, &ctx);
    if (packets != nullptr) packets->push_back(copy);
  }
  return results;
}

}  // namespace sluice::bpf
