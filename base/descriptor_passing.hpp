// Bytes over a UNIX socket with descriptors beside them (unix(7), SCM_RIGHTS). Any thread.
#pragma once

#include <sys/types.h>

#include <span>
#include <vector>

#include "base/unique_fd.hpp"

namespace sluice {

inline constexpr size_t kPassedDescriptorsMax = 253;  // Linux: SCM_MAX_FD

// As sendmsg(2), never raising SIGPIPE. The descriptors, at most kPassedDescriptorsMax, go with the
// first byte.
ssize_t send_with_descriptors(int socket, std::span<const char> bytes,
                              std::span<const int> descriptors, int flags = 0);

// As recvmsg(2). What comes is appended to `descriptors`, close-on-exec. -1 with EMFILE: some did
// not, for want of room.
ssize_t receive_with_descriptors(int socket, std::span<char> bytes,
                                 std::vector<UniqueFd>* descriptors, int flags = 0);

}  // namespace sluice
