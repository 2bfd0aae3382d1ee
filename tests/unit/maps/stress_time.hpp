// How long the stress tests run: SLUICE_STRESS_SECONDS for all map types together, each its share.
#pragma once

#include <chrono>
#include <cstdlib>

#include "bpf/maps/map_types.hpp"

namespace sluice::bpf {

inline std::chrono::steady_clock::time_point stress_end() {
  const char* seconds = std::getenv("SLUICE_STRESS_SECONDS");
  const double all = seconds != nullptr ? std::atof(seconds) : 10;
  const std::chrono::duration<double> share(all / std::size(kMapTypes));
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(share);
}

}  // namespace sluice::bpf
