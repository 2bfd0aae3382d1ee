// Ports for tests, which remember what they were told to run.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "bpf/surface/attacher.hpp"

namespace sluice::bpf {

class FakePorts final : public Attacher {
 public:
  bool has_port(uint32_t ifindex) const override { return ifindex >= 1 && ifindex <= names.size(); }
  uint32_t find_port(const std::string& name) const override {
    const auto found = std::ranges::find(names, name);
    return found == names.end() ? 0 : static_cast<uint32_t>(found - names.begin()) + 1;
  }
  std::string port_name(uint32_t ifindex) const override { return names[ifindex - 1]; }
  Status set_programs(uint32_t ifindex,
                      const std::vector<std::shared_ptr<ProgramObject>>& programs) override {
    if (failing) return fail(ENOMEM, "no memory");
    running[ifindex].clear();
    for (const auto& program : programs) running[ifindex].push_back(program->name);
    return {};
  }
  RunStatistics statistics(uint32_t ifindex, const ProgramObject&) const override {
    return {ifindex * 10, 7};
  }

  std::vector<std::string> names{"one", "two"};
  std::map<uint32_t, std::vector<std::string>> running;  // by ifindex
  bool failing = false;
};

}  // namespace sluice::bpf
