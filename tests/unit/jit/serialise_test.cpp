// A chain as bytes: what another process compiles is the same code, and damaged bytes are refused.
#include "bpf/jit/serialise.hpp"

#include <gtest/gtest.h>

#include <random>

#include "bpf/jit/jit.hpp"
#include "tests/unit/jit/programs.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

// Adds to a map that has copies.
std::shared_ptr<AnnotatedProgram> counter() {
  Code code;
  code << map_value(1, 0) << mov(2, 1) << atomic(BPF_DW, BPF_ADD, 1, 0, 2) << exit();
  auto program = annotate(code);
  program->maps = {*Map::create({"counts", BPF_MAP_TYPE_ARRAY, 4, 8, 1})};
  program->added = {std::vector<AddedField>{{0, 8}}};
  program->maps[0]->admit(program->added[0]);
  note(*program, 3, Region::map_value);
  program->facts[3].map_index = 0;
  program->facts[3].aligned = true;
  return program;
}

// With a map, a subprogram, a jump and a helper's stack argument.
ChainSpec make_spec() {
  Code code{store_imm(BPF_W, 10, -4, 1)};
  code << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4);
  const auto called = static_cast<uint32_t>(code.size());
  code << call(BPF_FUNC_map_lookup_elem) << jump(BPF_JNE, 0, 0, 1) << exit()
       << load(BPF_DW, 1, 0, 0) << call_local(1) << exit();
  const auto start = static_cast<uint32_t>(code.size());
  code << mov_reg(0, 1) << exit();
  auto program = annotate(code, {0, start});
  program->maps = {*Map::create({"map", BPF_MAP_TYPE_HASH, 4, 8, 16})};
  note(*program, 0, Region::stack, -4);
  note(*program, called + 3, Region::map_value);
  InsnFact& fact = program->facts[called];
  fact.map_index = 0;
  fact.argument_stack_offset[1] = -4;
  fact.argument_size[1] = 4;
  const auto all = annotate({mov(0, -1), exit()});
  return {{program, all, counter()}, kLinearLayout};
}

TEST(Serialise, TheCopyCompilesToTheSameObject) {
  const ChainSpec spec = make_spec();
  const auto bytes = jit::serialise(jit::make_image(spec));
  auto image = jit::deserialise(bytes);
  ASSERT_TRUE(image) << image.error().text;
  auto here = jit::compile(spec);
  auto there = jit::compile(*image);
  ASSERT_TRUE(here && there);
  EXPECT_EQ(here->elf, there->elf);
  EXPECT_EQ(jit::serialise(*image), bytes);
}

TEST(Serialise, AProgramsCopyCompilesToTheSameObject) {
  const auto program = make_spec().programs[0];
  auto image = jit::deserialise(jit::serialise(jit::make_program_image(*program)));
  ASSERT_TRUE(image) << image.error().text;
  auto here = jit::compile(jit::make_program_image(*program));
  auto there = jit::compile(*image);
  ASSERT_TRUE(here && there);
  EXPECT_EQ(here->elf, there->elf);
}

TEST(Serialise, BytesCutAnywhereAreRefused) {
  const auto bytes = jit::serialise(jit::make_image(make_spec()));
  for (size_t length = 0; length < bytes.size(); length++) {
    EXPECT_FALSE(jit::deserialise({bytes.data(), length})) << length;
  }
  auto longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(jit::deserialise(longer));
}

// What still passes the checks must compile or be refused by name: no crash.
TEST(Serialise, DamagedBytesAreRefusedOrHarmless) {
  const auto bytes = jit::serialise(jit::make_image(make_spec()));
  std::mt19937 random(1);
  size_t refused = 0;
  for (int i = 0; i < 2000; i++) {
    auto damaged = bytes;
    damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
    auto image = jit::deserialise(damaged);
    refused += image ? 0 : 1;
    if (image && i % 40 == 0) (void)jit::compile(*image);
  }
  EXPECT_GT(refused, 100u);
}

TEST(CheckImage, RefusesWhatIsNotThere) {
  const auto good = jit::make_image(make_spec());
  ASSERT_TRUE(jit::check_image(good));
  const std::pair<const char*, void (*)(jit::ProgramImage&)> damages[] = {
      {"a map", [](jit::ProgramImage& program) { program.maps.clear(); }},
      {"a jump's target", [](jit::ProgramImage& program) { program.insns[6].off = 100; }},
      {"a subprogram", [](jit::ProgramImage& program) { program.subprograms.pop_back(); }},
      {"a fact", [](jit::ProgramImage& program) { program.facts.pop_back(); }},
      {"a register", [](jit::ProgramImage& program) { program.insns[3].src_reg = 11; }},
      {"a byte of the frame", [](jit::ProgramImage& program) { program.facts[0].offset = -3; }},
      {"an argument's byte",
       [](jit::ProgramImage& program) { program.facts[5].argument_size[1] = 5; }},
  };
  for (const auto& [name, damage] : damages) {
    auto image = good;
    damage(image.programs[0]);
    EXPECT_FALSE(jit::check_image(image)) << name;
  }
}

TEST(CheckImage, RefusesCopiesOfWhatIsNoArray) {
  const auto good = jit::make_image(make_spec());
  ASSERT_NE(good.programs[2].maps[0].copies.copies, nullptr);
  const std::pair<const char*, void (*)(jit::MapImage&)> damages[] = {
      {"type", [](jit::MapImage& map) { map.core.type = BPF_MAP_TYPE_HASH; }},
      {"values", [](jit::MapImage& map) { map.copies.values++; }},
      {"adding", [](jit::MapImage& map) { map.copies.adding = nullptr; }},
      {"distance", [](jit::MapImage& map) { map.copies.distance = 0; }},
  };
  for (const auto& [name, damage] : damages) {
    auto image = good;
    damage(image.programs[2].maps[0]);
    EXPECT_FALSE(jit::check_image(image)) << name;
  }
}

}  // namespace
}  // namespace sluice::bpf
