// An ELF object read into memory, with the mistakes people make told apart before libbpf sees it:
// a folder, an empty file, something that is no ELF, an object of another architecture, one that is
// cut short, BTF that leads nowhere. Control thread.
#pragma once

#include <string>
#include <vector>

struct bpf_object;

#include "base/result.hpp"

namespace sluice::bpf {

// errors: the open's errno, ENOEXEC, EFBIG; EINVAL for BTF (object_btf.hpp).
Result<std::vector<char>> read_object_file(const std::string& path);

// Whether the opened object may be loaded: libbpf does not survive a map that only says that it is
// a struct_ops one, and no such map exists here. errors: EOPNOTSUPP.
Status check_object_maps(const bpf_object* object);

}  // namespace sluice::bpf
