// Whether an object's BTF may be given to libbpf, which follows type ids and string offsets
// wherever they lead. What the types mean is BTF_LOAD's to judge. Control thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.hpp"

namespace sluice::bpf {

// `file` is an ELF object; one without BTF is fine. errors: EINVAL.
[[nodiscard]] Status check_object_btf(std::span<const char> file);

// The same of BTF alone, in the machine's byte order and without a base.
[[nodiscard]] Status check_btf_references(std::span<const uint8_t> blob);

}  // namespace sluice::bpf
