// A PROG_LOAD's attribute read into our own memory, with map descriptors resolved. Private to
// bpf/surface.
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
  uint32_t expected_attach_type = 0;
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

// func_info and line_info against the BTF and the subprograms; before the maps are resolved.
// EINVAL.
Status check_debug_info(const ProgSpec& spec);

// Fills `resolved` and `maps`. EBADF, EINVAL, E2BIG, EPROTO, as the kernel's resolve_pseudo_ldimm64
// has them.
Status resolve_maps(Call& call, ProgSpec* spec);

}  // namespace sluice::bpf::surface
