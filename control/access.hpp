// Owner and mode of what the daemon makes in the file system (`pins`, `api`). Main thread.
#pragma once

#include <sys/types.h>

#include "base/result.hpp"
#include "config/schema.hpp"

namespace sluice::control {

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Numbers or names of the host's; what is not given is the daemon's own. The error has its
// file:line:column.
Result<Owner> owner_of(const config::Config& config, const config::Access& access);

}  // namespace sluice::control
