// Chains of xdp, sched_cls and socket filters: what each return value does to the packet, on both
// engines.
#include <gtest/gtest.h>
#include <linux/pkt_cls.h>

#include <functional>

#include "bpf/interp/interp.hpp"
#include "bpf/jit/jit.hpp"
#include "bpf/progs/chain_step.hpp"
#include "tests/unit/jit/programs.hpp"

namespace sluice::bpf {
namespace {

using namespace build;
using Program = std::shared_ptr<AnnotatedProgram>;

constexpr uint32_t kLength = 60;
constexpr uint32_t kIfindex = 3;
constexpr uint32_t kToActionWhole = kToAction << kVerdictPortShift | kLength;

Program returning(uint32_t type, int32_t value) {
  auto program = annotate({mov(0, value), exit()});
  program->type = type;
  return program;
}
Program xdp(int32_t action) { return returning(BPF_PROG_TYPE_XDP, action); }
Program classifier(int32_t action) { return returning(BPF_PROG_TYPE_SCHED_CLS, action); }
Program filter(int32_t verdict) { return returning(BPF_PROG_TYPE_SOCKET_FILTER, verdict); }

struct Outcome {
  uint32_t verdict = 0;
  std::vector<ProgramCounters> counters;
};

void on_both(const std::vector<Program>& programs,
             const std::function<void(const Outcome&)>& check) {
  ChainSpec spec{{programs.begin(), programs.end()}, kLinearLayout};
  auto compiled = jit::make_burst(spec);
  ASSERT_TRUE(compiled) << compiled.error().text;
  const auto interpreted = make_interpreted_burst(spec);
  for (const Burst* burst : {interpreted.get(), compiled->get()}) {
    SCOPED_TRACE(burst == interpreted.get() ? "interpreter" : "jit");
    uint8_t bytes[256] = {};
    LinearPacket packet{.buffer = bytes,
                        .data_off = 64,
                        .room = sizeof bytes,
                        .captured = kLength,
                        .wire_length = kLength};
    void* packets[] = {&packet};
    RunEnv env;
    env.ifindex = kIfindex;
    Outcome outcome;
    outcome.counters.resize(programs.size());
    burst->run(packets, 1, &outcome.verdict, &env, outcome.counters.data());
    check(outcome);
  }
}

void expect_verdict(const std::vector<Program>& programs, uint32_t expected) {
  on_both(programs, [&](const Outcome& outcome) { EXPECT_EQ(outcome.verdict, expected); });
}

TEST(Chain, EachReturnValueDoesWhatLinuxDoes) {
  struct Case {
    const char* name;
    Program program;
    uint32_t verdict;
    bool goes_on;
  };
  const uint32_t back = kIfindex << kVerdictPortShift | kLength;
  const uint32_t nowhere = kToNoPort << kVerdictPortShift | kLength;  // nothing said where to
  const Case cases[] = {{"XDP_ABORTED", xdp(XDP_ABORTED), 0, false},
                        {"XDP_DROP", xdp(XDP_DROP), 0, false},
                        {"XDP_PASS", xdp(XDP_PASS), kToActionWhole, true},
                        {"XDP_TX", xdp(XDP_TX), back, false},
                        {"XDP_REDIRECT", xdp(XDP_REDIRECT), nowhere, false},
                        {"xdp 5", xdp(5), 0, false},
                        {"xdp -1", xdp(-1), 0, false},
                        {"TC_ACT_UNSPEC", classifier(TC_ACT_UNSPEC), kToActionWhole, true},
                        {"TC_ACT_OK", classifier(TC_ACT_OK), kToActionWhole, false},
                        {"TC_ACT_RECLASSIFY", classifier(TC_ACT_RECLASSIFY), kToActionWhole, false},
                        {"TC_ACT_SHOT", classifier(TC_ACT_SHOT), 0, false},
                        {"TC_ACT_PIPE", classifier(TC_ACT_PIPE), kToActionWhole, false},
                        {"TC_ACT_STOLEN", classifier(TC_ACT_STOLEN), 0, false},
                        {"TC_ACT_QUEUED", classifier(TC_ACT_QUEUED), 0, false},
                        {"TC_ACT_REDIRECT", classifier(TC_ACT_REDIRECT), nowhere, false},
                        {"TC_ACT_TRAP", classifier(TC_ACT_TRAP), 0, false},
                        {"a filter's 0", filter(0), 0, false},
                        {"a filter's 20", filter(20), kToAction << kVerdictPortShift | 20, true}};
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    // Something that forwards in every chain, so that all of them are chains of the kind.
    on_both({each.program, classifier(TC_ACT_UNSPEC)}, [&](const Outcome& outcome) {
      EXPECT_EQ(outcome.verdict, each.verdict);
      EXPECT_EQ(outcome.counters[0].run, 1u);
      EXPECT_EQ(outcome.counters[1].run, each.goes_on ? 1u : 0u);
    });
  }
}

TEST(Chain, CountsEachWayToLeave) {
  on_both({xdp(XDP_PASS), filter(40), classifier(TC_ACT_UNSPEC), classifier(TC_ACT_REDIRECT)},
          [](const Outcome& outcome) {
            EXPECT_EQ(outcome.counters[0].passed, 1u);
            EXPECT_EQ(outcome.counters[1].trimmed, 1u);
            EXPECT_EQ(outcome.counters[2].passed, 1u);
            EXPECT_EQ(outcome.counters[3].redirected, 1u);
            EXPECT_EQ(outcome.counters[3].passed, 0u);
            EXPECT_EQ(outcome.counters[3].dropped(), 0u);
          });
  on_both({xdp(XDP_TX), filter(0)}, [](const Outcome& outcome) {
    EXPECT_EQ(outcome.counters[0].transmitted, 1u);
    EXPECT_EQ(outcome.counters[0].dropped(), 0u);
    EXPECT_EQ(outcome.counters[1].run, 0u);
  });
  on_both({xdp(XDP_DROP)},
          [](const Outcome& outcome) { EXPECT_EQ(outcome.counters[0].dropped(), 1u); });
}

TEST(Chain, TheShortestOfTheFiltersCountsAlsoWhenAClassifierEndsTheChain) {
  expect_verdict({filter(50), classifier(TC_ACT_OK), filter(10)},
                 kToAction << kVerdictPortShift | 50);
  expect_verdict({filter(50), filter(30), classifier(TC_ACT_UNSPEC)},
                 kToAction << kVerdictPortShift | 30);
  expect_verdict({filter(50), classifier(TC_ACT_SHOT)}, 0);
}

TEST(Chain, AMarkGoesFromOneProgramToTheNext) {
  const auto mark = static_cast<int16_t>(offsetof(__sk_buff, mark));
  auto sets = annotate({mov(2, 40), store(BPF_W, 1, mark, 2), mov(0, TC_ACT_UNSPEC), exit()});
  sets->type = BPF_PROG_TYPE_SCHED_CLS;
  note(*sets, 1, Region::ctx, mark);
  auto reads = annotate({load(BPF_W, 0, 1, mark), exit()});
  note(*reads, 0, Region::ctx, mark);
  expect_verdict({sets, reads}, kToAction << kVerdictPortShift | 40);
}

// skb->protocol is what the packet was when it came; an xdp program comes before that.
TEST(Chain, TheEthertypeIsNotedBehindXdp) {
  const auto writes = [](uint32_t type, int32_t data, int32_t data_end, int32_t result) {
    Code code{load(BPF_W, 2, 1, static_cast<int16_t>(data)),
              load(BPF_W, 3, 1, static_cast<int16_t>(data_end))};
    code << mov_reg(4, 2) << alu(BPF_ADD, 4, 14) << mov(0, result) << jump_reg(BPF_JGT, 4, 3, 2);
    code << mov(5, 0x0608) << store(BPF_H, 2, 12, 5) << exit();
    auto program = annotate(code);
    program->type = type;
    note(*program, 0, Region::ctx, data);
    note(*program, 1, Region::ctx, data_end);
    note(*program, 7, Region::packet);
    return program;
  };
  const auto protocol = static_cast<int16_t>(offsetof(__sk_buff, protocol));
  auto arp_only = annotate(
      {load(BPF_W, 2, 1, protocol), mov(0, 0), jump(BPF_JNE, 2, 0x0608, 1), mov(0, -1), exit()});
  note(*arp_only, 0, Region::ctx, protocol);
  const auto as_xdp =
      writes(BPF_PROG_TYPE_XDP, offsetof(xdp_md, data), offsetof(xdp_md, data_end), XDP_PASS);
  const auto as_classifier = writes(BPF_PROG_TYPE_SCHED_CLS, offsetof(__sk_buff, data),
                                    offsetof(__sk_buff, data_end), TC_ACT_UNSPEC);
  expect_verdict({as_xdp, arp_only}, kToActionWhole);
  expect_verdict({as_classifier, arp_only}, 0);
}

}  // namespace
}  // namespace sluice::bpf
