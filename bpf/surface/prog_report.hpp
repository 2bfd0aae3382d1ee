// A rejected program in words: what the verifier's Report says, with the source line that BTF
// knows. Private to bpf/surface.
#pragma once

#include "bpf/surface/prog_spec.hpp"
#include "bpf/verifier/verifier.hpp"

namespace sluice::bpf::surface {

LoadFailure describe_rejection(const ProgSpec& spec, bool gpl_compatible,
                               const VerifierResult& result);

// What the log buffer gets: the kernel-format log, then the part for people.
std::string log_text(const LoadFailure& failure);

}  // namespace sluice::bpf::surface
