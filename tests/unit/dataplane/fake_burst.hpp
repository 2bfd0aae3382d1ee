// A chain's burst function made of a lambda over one packet's context, for tests that are not about programs.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "bpf/progs/burst.hpp"
#include "dataplane/chain.hpp"

namespace sluice::dataplane {

class FakeBurst final : public bpf::Burst {
 public:
  using Verdict = std::function<uint32_t(const bpf::PacketContext&)>;
  FakeBurst(bpf::PacketLayout layout, Verdict verdict) : layout_(layout), verdict_(std::move(verdict)) {}

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

inline Chain fake_chain(const bpf::PacketLayout& layout, FakeBurst::Verdict verdict, Action action = {}) {
  return {{"fake"}, std::make_shared<FakeBurst>(layout, std::move(verdict)), action};
}

}  // namespace sluice::dataplane
