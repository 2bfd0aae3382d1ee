// The log of a PROG_LOAD or BTF_LOAD on its way to the caller. Private to bpf/surface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::bpf::surface {

struct Call;

// Where the caller wants it.
struct LogBuffer {
  uint64_t at = 0;  // 0: no log wanted, though its size may be
  uint32_t size = 0;
  uint32_t level = 0;
  // of the field of the attribute that becomes the bytes the whole log takes
  size_t true_size_at = 0;

  // The three go together.
  [[nodiscard]] bool valid() const;
};

// Copies the log there, zero-terminated. What does not fit is lost at the front, with BPF_LOG_FIXED
// (8) at the end: -ENOSPC then, as in the kernel. EFAULT. lost: bytes of the log that stood before
// `text` and are gone.
int write_log(Call& call, const LogBuffer& buffer, std::string_view text, size_t lost = 0);

}  // namespace sluice::bpf::surface
