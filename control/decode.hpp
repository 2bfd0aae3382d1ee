// Bytes of a map's key -> label text, by a list of decoders (ebpf_exporter's). Pure functions; any
// thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "config/schema.hpp"

namespace sluice::control {

// `known` becomes true if a static_map names the value. The result is valid UTF-8, as the
// exposition format wants it.
std::string decode_label(const config::Label& label, std::span<const uint8_t> bytes, bool& known);

}  // namespace sluice::control
