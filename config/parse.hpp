// YAML text -> Config. Every mistake is reported as `file:line:column: message (hint)`, one a line,
// all that can be found in one pass. Any thread; no state.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/schema.hpp"

namespace sluice::config {

// Where an object given by a bare name is sought after the configuration's own folder: bpf/programs
// beside the binary, then /usr/lib/sluice/bpf.
std::vector<std::string> default_object_directories();

// errors: ENOENT and the like (file not readable), EINVAL (mistakes in it).
Result<Config> parse_config(const std::string& path);
// `filename` names the text in messages, and its folder is where relative objects are from.
Result<Config> parse_config_text(
    const std::string& text, const std::string& filename,
    const std::vector<std::string>& object_directories = default_object_directories());

}  // namespace sluice::config
