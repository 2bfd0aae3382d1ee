// Random programs on the interpreter and the JIT: those the verifier accepts must leave the same
// verdicts and the same maps. SLUICE_SEED: another sequence, SLUICE_PROGRAMS: how many. The first
// difference is printed and fails the run.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "bpf/interp/interp.hpp"
#include "bpf/jit/jit.hpp"
#include "tests/fuzz/random_program.hpp"
#include "tests/unit/jit/engines.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kPackets = 4;
constexpr uint64_t kPrograms = 10'000;

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

Maps make_maps() {
  Maps maps;
  maps.push_back(*Map::create({"digest", BPF_MAP_TYPE_ARRAY, 4, 64, 1}));
  maps.push_back(*Map::create({"small", BPF_MAP_TYPE_HASH, 4, 16, 4}));
  maps.push_back(*Map::create({"percpu", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 4}));
  maps.push_back(*Map::create({"flows", BPF_MAP_TYPE_HASH, 20, 16, 8}));
  return maps;
}

struct Input {
  explicit Input(uint64_t seed) {
    std::mt19937_64 random(seed);
    for (uint32_t i = 0; i < kPackets; i++) {
      for (auto& byte : bytes[i]) byte = static_cast<uint8_t>(random());
      packets[i].buffer = bytes[i];
      packets[i].captured = 20 + static_cast<uint32_t>(random() % 80);
      packets[i].wire_length = packets[i].captured + static_cast<uint32_t>(random() % 2) * 1000;
      packets[i].hash = static_cast<uint32_t>(random());
    }
  }
  uint8_t bytes[kPackets][100];
  LinearPacket packets[kPackets];
};

std::string disagreement(const AnnotatedProgram& program, uint64_t seed) {
  Engine reference = interpreted(program, make_maps());
  Engine jit = compiled(program, make_maps());
  if (jit.burst == nullptr) return "does not compile";
  const Input input(seed);
  for (uint32_t i = 0; i < kPackets; i++) {
    const uint32_t expected = reference.run(input.packets[i]);
    const uint32_t got = jit.run(input.packets[i]);
    const std::string at = "packet " + std::to_string(i) + ": ";
    if (expected != got)
      return at + "verdict " + std::to_string(expected) + " and " + std::to_string(got);
    if (contents(reference.maps) != contents(jit.maps)) return at + "maps differ";
  }
  return {};
}

// One run of a program by itself: all of R0, and the packet as it left it.
struct Run {
  uint64_t result = 0;
  std::vector<uint8_t> bytes;
};

Run run_alone(TailCode code, const TailTarget* target, const LinearPacket& input) {
  Run run;
  run.bytes.assign(input.buffer, input.buffer + input.captured);
  LinearPacket packet = input;
  packet.buffer = run.bytes.data();
  RunEnv env;
  PacketContext ctx;
  load_context(&ctx, kLinearLayout, &packet, &env);
  run.result = code(&ctx, target);
  return run;
}

// As disagreement(), for programs that write packets.
std::string disagreement_alone(const AnnotatedProgram& program, uint64_t seed) {
  const Maps left_maps = make_maps();
  const Maps right_maps = make_maps();
  const auto left = with_maps(program, left_maps);
  auto right = jit::make_program(with_maps(program, right_maps));
  if (!right) return "does not compile: " + right.error().text;
  const TailTarget interpreted{left.get(), &interpret_target};
  const Input input(seed);
  for (uint32_t i = 0; i < kPackets; i++) {
    const Run expected = run_alone(interpreted.code, &interpreted, input.packets[i]);
    const Run got = run_alone((*right)->code(), nullptr, input.packets[i]);
    const std::string at = "packet " + std::to_string(i) + ": ";
    if (expected.result != got.result) {
      return at + "R0 " + std::to_string(expected.result) + " and " + std::to_string(got.result);
    }
    if (expected.bytes != got.bytes) return at + "packets differ";
    if (contents(left_maps) != contents(right_maps)) return at + "maps differ";
  }
  return {};
}

TEST(Engines, AgreeOnRandomPrograms) {
  const uint64_t first = number_from("SLUICE_SEED", 1);
  const uint64_t programs = number_from("SLUICE_PROGRAMS", kPrograms);
  const Maps shapes = make_maps();
  uint64_t accepted = 0;
  for (uint64_t seed = first; seed < first + programs; seed++) {
    const RandomProgram random = random_program(seed);
    // Every fourth one hardened in full: no result may change.
    const Hardening hardening = seed % 4 == 0 ? Hardening{true, seed + 1} : Hardening{};
    const auto verified = verify_insns(random.insns, shapes, random.type, hardening);
    if (verified.program == nullptr) {
      if (std::getenv("SLUICE_VERBOSE") != nullptr) {
        std::printf("%lu: insn %u: %s\n", seed, verified.report.insn,
                    verified.report.reason.c_str());
      }
      continue;
    }
    accepted++;
    const bool filters = random.type == BPF_PROG_TYPE_SOCKET_FILTER;
    const std::string difference = filters ? disagreement(*verified.program, seed)
                                           : disagreement_alone(*verified.program, seed);
    ASSERT_EQ(difference, "") << "seed " << seed;
  }
  std::printf("%lu programs accepted, %lu refused\n", accepted, programs - accepted);
  EXPECT_GE(accepted * 10, programs * 3);
}

}  // namespace
}  // namespace sluice::bpf
