#include "tests/bench/runner.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "bpf/jit/jit.hpp"

namespace sluice::bench {

Result<std::unique_ptr<Runner>> Runner::make(std::shared_ptr<const bpf::AnnotatedProgram> program,
                                             const bpf::PacketLayout& layout,
                                             const std::vector<void*>& packets, uint32_t worker) {
  auto burst = bpf::jit::make_burst({{std::move(program)}, layout});
  if (!burst) return fail(std::move(burst.error()));
  return std::unique_ptr<Runner>(new Runner(std::move(*burst), packets, worker));
}

void Runner::run(uint32_t* verdicts) {
  const auto count = static_cast<uint32_t>(packets_.size());
  for (uint32_t i = 0; i < count; i += kBurst) {
    burst_->run(packets_.data() + i, std::min(kBurst, count - i), verdicts + i, &env_, &counters_);
  }
}

}  // namespace sluice::bench
