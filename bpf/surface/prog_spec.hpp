// A PROG_LOAD's attribute read into our own memory, with map descriptors resolved. Private to bpf/surface.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {

struct ProgSpec {
  std::string name;
  uint32_t type = BPF_PROG_TYPE_UNSPEC;
  uint32_t flags = 0;
  std::string licence;
  std::vector<Insn> insns;                        // as the caller gave them
  std::vector<Insn> resolved;                     // map loads carry indices into `maps`
  std::vector<std::shared_ptr<MapObject>> maps;
  std::shared_ptr<BtfObject> btf;                 // may be null
  std::vector<bpf_func_info> func_info;
  std::vector<bpf_line_info> line_info;
};

// Everything but the map descriptors. errors: as bpf(2) has them, with a sentence for people.
Result<ProgSpec> read_prog_spec(Call& call);

// Fills `resolved` and `maps`. EBADF, EINVAL, E2BIG, EPROTO, as the kernel's resolve_pseudo_ldimm64 has them.
Status resolve_maps(Call& call, ProgSpec* spec);

// Where the caller wants the verifier's log.
struct LogBuffer {
  uint64_t at = 0;  // 0: no log wanted
  uint32_t size = 0;
  uint32_t level = 0;
};

// False: EINVAL, the three do not go together.
bool read_log_buffer(const bpf_attr& attr, LogBuffer* buffer);

// Copies the log there, zero-terminated. What does not fit is lost at the front, with BPF_LOG_FIXED (8) at the end:
// -ENOSPC then, as in the kernel. EFAULT.
int write_log(Call& call, const LogBuffer& buffer, std::string_view text);

}  // namespace sluice::bpf::surface
