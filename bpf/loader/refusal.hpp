// A refused load as an Error: the reason in the first line, then the end of the verifier's log and
// the explanation.
#pragma once

#include "base/result.hpp"
#include "bpf/surface/surface.hpp"

namespace sluice::bpf {

[[nodiscard]] Error refusal(const LoadFailure& failure);

}  // namespace sluice::bpf
