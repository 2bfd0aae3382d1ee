// Where a program is attached: `PROG [ATTACH_TYPE] dev PORT [before|after PROG]`. The session's
// thread.
#pragma once

#include "base/unique_fd.hpp"
#include "cli/tool/tool.hpp"

namespace sluice::cli {

struct Target {
  UniqueFd program;
  uint32_t port = 0;  // index
  std::string port_name;
  uint32_t attach_type = 0;  // enum bpf_attach_type
  uint32_t flags = 0;        // BPF_F_BEFORE, BPF_F_AFTER
  UniqueFd relative;         // the program that the flags speak of
};

Result<Target> take_target(Context& context, Words& words);
Result<UniqueFd> create_link(const Target& target);

}  // namespace sluice::cli
