// Which licence strings count as GPL-compatible: Linux's set (include/linux/license.h). No state;
// any thread.
#pragma once

#include <string_view>

namespace sluice::bpf {

// Compared byte by byte; no licence at all is not compatible.
[[nodiscard]] bool is_gpl_compatible(std::string_view licence);

// kernel: a program that is not GPL-compatible may not call a gpl_only helper. gpl_only: it may not
// load at all.
enum class LicencePolicy { kernel, gpl_only };

}  // namespace sluice::bpf
