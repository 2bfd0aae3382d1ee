// Programs in, from an ELF object (through libbpf) or a pcap expression, by way of the bpf()
// surface like any client. Control thread only. (bpf-abi of libbpf: docs/ARCHITECTURE.md, Loader)
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "bpf/progs/annotated_program.hpp"
#include "bpf/surface/surface.hpp"

namespace sluice::bpf {

// A program that has been verified and holds its maps.
struct LoadedProgram {
  std::string name;                                          // the name the caller gave
  // of the object in the surface's tables
  uint32_t id = 0;
  std::shared_ptr<const AnnotatedProgram> program;
  // by the name in the object; empty for expressions
  std::map<std::string, std::shared_ptr<Map>> maps;
};

struct ObjectRequest {
  std::string name;          // for messages and for LoadedProgram::name
  std::string path;          // the ELF object
  // Function or section name inside; empty: the object's only program (error if it has several).
  std::string program;
  // to take in place of the object's of the same name and shape
  std::vector<std::shared_ptr<MapObject>> maps;
};

// errors: file missing or not a BPF object (wrong architecture, empty, truncated), no such program,
// refused by the verifier (the text carries kernel-format log and the report), licence (EINVAL or
// EACCES).
Result<LoadedProgram> load_object(BpfSurface& surface, const ObjectRequest& request);

// `expression` in pcap-filter(7) syntax for Ethernet captures; an empty one accepts all. The
// accepted length is kMaxPacket. Its licence is "Dual BSD/GPL".
Result<LoadedProgram> load_filter(BpfSurface& surface, const std::string& name,
                                  const std::string& expression);

}  // namespace sluice::bpf
