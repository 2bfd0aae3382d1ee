// The daemon behind the verbs of cli/tool: libbpf's calls go to it over the API socket while this
// lives, on the thread that made it.
#pragma once

#include <memory>
#include <optional>

#include "bpf/client/client.hpp"
#include "bpf/loader/libbpf_session.hpp"
#include "cli/tool/tool.hpp"

namespace sluice::cli {

class DaemonConnection final : public Connection {
 public:
  // errors: as bpf::Client::connect, with what to do.
  static Result<std::unique_ptr<DaemonConnection>> open();

  Result<std::string> query(std::string_view what) override;
  [[nodiscard]] std::string pin_directory() const override { return client_->pin_directory(); }
  std::string load_failure(const std::vector<std::string>& programs) override;
  Result<uint32_t> port_index(const std::string& name) override;
  std::string port_name(uint32_t index) override;
  [[nodiscard]] bool writes_perf_events() const override { return false; }
  Status drop_privileges() override;

 private:
  explicit DaemonConnection(std::unique_ptr<bpf::Client> client) : client_(std::move(client)) {
    session_.emplace(*client_);
  }

  std::unique_ptr<bpf::Client> client_;
  std::optional<bpf::LibbpfSession> session_;
};

}  // namespace sluice::cli
