// What can run programs: the data plane's ports as bpf(2) sees them. The daemon has one; where
// there is none, nothing can be attached. Called by control threads, one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "bpf/object/objects.hpp"

namespace sluice::bpf {

struct RunStatistics {
  uint64_t count = 0;
  uint64_t time_ns = 0;
};

class Attacher {
 public:
  virtual ~Attacher() = default;
  // Whether there is a port with this index (1 + its place in the configuration).
  [[nodiscard]] virtual bool has_port(uint32_t ifindex) const = 0;
  // By its name, which stays when the configuration changes. 0: there is none.
  [[nodiscard]] virtual uint32_t find_port(const std::string& name) const = 0;
  // Of a port that there is.
  [[nodiscard]] virtual std::string port_name(uint32_t ifindex) const = 0;
  // Makes `programs`, in this order, what the port's ingress runs: compiles them, publishes them
  // and returns when no worker runs the former ones. Of type xdp, then socket_filter and sched_cls.
  // On an error what ran before still runs.
  virtual Status set_programs(uint32_t ifindex,
                              const std::vector<std::shared_ptr<ProgramObject>>& programs) = 0;
  // Of a program's runs on the port, since it was attached there.
  [[nodiscard]] virtual RunStatistics statistics(uint32_t ifindex,
                                                 const ProgramObject& program) const = 0;
};

}  // namespace sluice::bpf
