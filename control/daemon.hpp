// The appliance: `sluice run`. Everything is made before the first packet flows; what cannot be is
// an error, and nothing is left behind. Main thread.
#pragma once

#include "base/result.hpp"
#include "config/schema.hpp"

namespace sluice::control {

// Returns when SIGINT or SIGTERM has been handled: packets drained, final statistics on standard
// output.
Status run_daemon(const config::Config& config);

}  // namespace sluice::control
