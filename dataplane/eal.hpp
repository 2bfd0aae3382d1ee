// DPDK's environment: memory, devices, lcores. Once a process, before the first Port; a replay
// needs none.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace sluice::dataplane {

struct EalSpec {
  enum class Hugepages { automatic, always, never };

  // the control thread may run on all of them; a worker on one each
  std::vector<unsigned> cores = {0};
  unsigned memory_mb = 512;
  Hugepages hugepages = Hugepages::automatic;  // automatic: where enough are free for memory_mb
  // Runs beside any other instance and without root: no hugepages, no shared files, no PCI.
  bool private_instance = false;
  // addresses that ports will open; empty: the PCI bus is left alone
  std::vector<std::string> pci_devices;
  std::vector<std::string> extra_args;
};

class Eal {
 public:
  // errors: EALREADY on a second call in a process, ENOMEM, EPERM, what rte_eal_init says.
  static Result<Eal> init(const EalSpec& spec);
  Eal(Eal&& other) noexcept
      : live_(std::exchange(other.live_, false)), hugepages_(other.hugepages_) {}
  Eal& operator=(Eal&&) = delete;
  ~Eal();

  [[nodiscard]] bool hugepages() const { return hugepages_; }

 private:
  explicit Eal(bool hugepages) : live_(true), hugepages_(hugepages) {}
  bool live_;
  bool hugepages_;
};

}  // namespace sluice::dataplane
