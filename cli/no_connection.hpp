// For the verbs that need no daemon: libbpf's bpf(2) calls fail with ENOSYS, everything else with
// ENOTCONN.
#pragma once

#include "cli/tool/tool.hpp"

namespace sluice::cli {

class NoConnection final : public Connection {
 public:
  Result<std::string> query(std::string_view) override { return none(); }
  [[nodiscard]] std::string pin_directory() const override { return ""; }
  std::string load_failure(const std::vector<std::string>&) override { return ""; }
  Result<uint32_t> port_index(const std::string&) override { return none(); }
  std::string port_name(uint32_t) override { return ""; }
  [[nodiscard]] bool writes_perf_events() const override { return false; }
  Status drop_privileges() override { return none(); }

 private:
  static tl::unexpected<Error> none() { return fail(ENOTCONN, "no daemon is asked"); }
};

}  // namespace sluice::cli
