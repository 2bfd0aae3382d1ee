// Whether a BTF blob is one Linux would take: BTF_LOAD's rules, observed field by field with the
// kernel (tests/smoke/transcripts/btf.cpp). Private to bpf/surface.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "bpf/progs/btf_types.hpp"

namespace sluice::bpf::surface {

// What is wrong: 0 or a positive errno, and a sentence for the log.
struct BtfFault {
  int error = 0;
  std::string reason;
};

// Header and sections: EINVAL, E2BIG (a longer header with bytes we do not know), ENOTSUPP (524).
// Nothing else may touch a blob before this.
[[nodiscard]] BtfFault check_btf_sections(std::span<const uint8_t> blob);
// Each record by itself: EINVAL, ENOTSUPP.
[[nodiscard]] BtfFault check_btf_records(const BtfTypes& types);
// Records as they refer to each other: EINVAL, EEXIST (a type that contains itself), E2BIG (too
// deep).
[[nodiscard]] BtfFault check_btf_references(const BtfTypes& types);
// All three.
[[nodiscard]] BtfFault check_btf(std::span<const uint8_t> blob);

}  // namespace sluice::bpf::surface
