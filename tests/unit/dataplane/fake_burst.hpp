// A chain's burst function made of a lambda over one packet's context, for tests that are not about
// programs.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "bpf/progs/burst.hpp"
#include "bpf/progs/chain_step.hpp"
#include "dataplane/chain.hpp"

namespace sluice::dataplane {

class FakeBurst final : public bpf::Burst {
 public:
  using Verdict = std::function<uint32_t(const bpf::PacketContext&)>;
  FakeBurst(bpf::PacketLayout layout, Verdict verdict)
      : layout_(layout), verdict_(std::move(verdict)) {}

  void run(void* const* packets, uint32_t count, uint32_t* verdicts, bpf::RunEnv* env,
           bpf::ProgramCounters* counters) const override {
    for (uint32_t i = 0; i < count; i++) {
      bpf::PacketContext ctx;
      bpf::load_context(&ctx, layout_, packets[i], env);
      const uint32_t verdict = verdict_(ctx);
      verdicts[i] = std::min(verdict, ctx.captured);
      counters->run++;
      if (verdict != 0) counters->passed++;
      if (verdict != 0 && verdict < ctx.captured) counters->trimmed++;
    }
  }

 private:
  bpf::PacketLayout layout_;
  Verdict verdict_;
};

// The same for what changes packets and sends them elsewhere.
class FakeForwarder final : public bpf::Burst {
 public:
  using Program = std::function<bpf::Step(bpf::PacketContext&)>;
  FakeForwarder(bpf::PacketLayout layout, Program program)
      : layout_(layout), program_(std::move(program)) {}

  void run(void* const* packets, uint32_t count, uint32_t* verdicts, bpf::RunEnv* env,
           bpf::ProgramCounters* counters) const override {
    for (uint32_t i = 0; i < count; i++) {
      bpf::PacketContext ctx;
      bpf::load_context(&ctx, layout_, packets[i], env);
      bpf::load_room(&ctx, layout_, packets[i]);
      const bpf::Step step = program_(ctx);
      counters->run++;
      verdicts[i] = step == bpf::Step::drop
                        ? 0
                        : bpf::finish_packet(&ctx, layout_, packets[i], step, UINT32_MAX);
    }
  }

 private:
  bpf::PacketLayout layout_;
  Program program_;
};

inline Chain fake_forwarder(const bpf::PacketLayout& layout, FakeForwarder::Program program,
                            Action action = {}) {
  return {{"fake"}, std::make_shared<FakeForwarder>(layout, std::move(program)), action, true};
}

inline Chain fake_chain(const bpf::PacketLayout& layout, FakeBurst::Verdict verdict,
                        Action action = {}) {
  return {{"fake"}, std::make_shared<FakeBurst>(layout, std::move(verdict)), action};
}

}  // namespace sluice::dataplane
