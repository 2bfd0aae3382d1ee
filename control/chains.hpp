// The ports' chains: the configuration's attachments first, then those of bpf(2)'s links, compiled
// and published whenever one of them changes. The surface calls it (Attacher) on control threads,
// one at a time.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bpf/surface/attachments.hpp"
#include "config/schema.hpp"
#include "control/programs.hpp"
#include "dataplane/dataplane.hpp"

namespace sluice::control {

class Chains final : public bpf::Attacher {
 public:
  // All outlive it. Takes over the surface's attachments until it goes.
  Chains(const config::Config& config, Programs& programs, dataplane::Dataplane& dataplane);
  ~Chains() override;
  Chains(const Chains&) = delete;
  Chains& operator=(const Chains&) = delete;

  // Every `attach` of the configuration, each program with a link of the configuration's. The error
  // has file:line:column.
  Status attach_configured();

  [[nodiscard]] bool has_port(uint32_t ifindex) const override;
  [[nodiscard]] uint32_t find_port(const std::string& name) const override;
  [[nodiscard]] std::string port_name(uint32_t ifindex) const override;
  Status set_programs(uint32_t ifindex,
                      const std::vector<std::shared_ptr<bpf::ProgramObject>>& programs) override;
  // Time is the port's, shared out by runs.
  [[nodiscard]] bpf::RunStatistics statistics(uint32_t ifindex,
                                              const bpf::ProgramObject& program) const override;

 private:
  [[nodiscard]] std::string name_of(const bpf::ProgramObject& program,
                                    const std::vector<Programs::Named>& before) const;

  const config::Config& config_;
  Programs& programs_;
  dataplane::Dataplane& dataplane_;
  std::vector<std::shared_ptr<bpf::LinkObject>> links_;  // of the configuration
  mutable std::mutex lock_;
  // by ifindex and program id: as counted in the chain
  std::map<uint32_t, std::map<uint32_t, std::string>> names_;
};

}  // namespace sluice::control
