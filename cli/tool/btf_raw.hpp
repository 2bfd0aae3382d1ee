// One BTF type as it is stored: a line and its members' lines, or an object of JSON. Any thread.
#pragma once

#include <bpf/btf.h>

#include "cli/tool/json_writer.hpp"

namespace sluice::cli {

// `out` null: plain text. An id that there is not is left out.
void write_raw_type(JsonWriter* out, const ::btf& btf, uint32_t id);

}  // namespace sluice::cli
