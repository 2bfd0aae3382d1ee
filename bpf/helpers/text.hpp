// Text that helpers make by bpf's format rules (bpf-helpers(7): bpf_trace_printk, bpf_snprintf).
// Any thread; no allocation.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::bpf {

inline constexpr uint32_t kMaxFormatArguments = 12;  // Linux: MAX_BPRINTF_VARARGS

// Formats into out[0..room), cut and terminated where room allows. Conversions: %d %i %u %x %X with
// l or ll, %c, %s, %pks, %pus, %p, %px, %pK, %ps, %pS, %pB, %pi4, %pI4, %pi6, %pI6, with flags "0+-
// " and a width. The length of the whole text, or -EINVAL: a conversion that is none of these, more
// of them than `count`, or a byte that is not printable. The format ends with its first zero, or
// its size; others may write to it meanwhile.
long format_text(char* out, uint32_t room, std::string_view format, const uint64_t* arguments,
                 uint32_t count);

// Whether format_text takes that format with so many arguments.
[[nodiscard]] bool is_format(std::string_view format, uint32_t count);

}  // namespace sluice::bpf
