// One request of the API socket, from its frame to the answer's, without a socket. Any thread; the
// surface locks for itself.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "bpf/client/socket_protocol.hpp"
#include "bpf/surface/surface.hpp"

namespace sluice::control {

// A frame with a valid header, and who sent it.
struct ApiRequest {
  std::vector<char> frame;
  std::vector<UniqueFd> descriptors;
  uid_t uid = 0;
  gid_t gid = 0;
};

struct ApiReply {
  std::vector<char> frame;  // empty: the request was not one, and its connection is to be closed
  UniqueFd descriptor;
};

// How long a request may take, and so who answers it: the socket's thread, or one of those beside
// it.
enum class ApiPace { quick, load, run, query };

struct ApiNature {
  ApiPace pace = ApiPace::quick;
  int cpu = bpf::wire::kCpuUnknown;  // that the client runs on
};
[[nodiscard]] ApiNature nature_of(const ApiRequest& request);

// Answers "status" and the like with JSON text. ENOENT: no such query.
using ApiQuery = std::function<Result<std::string>(std::string_view what)>;

// `cancelled`, where there is one, is set by another thread when nobody waits for the answer any
// more. `slow`, where there is one, is set by a call that would take long after all: it has done
// nothing, `request` is as it was, and is to be answered by who has time.
[[nodiscard]] ApiReply answer(bpf::BpfSurface& surface, const ApiQuery& query, ApiRequest& request,
                              const std::atomic<bool>* cancelled, bool* slow);

// The first frame on a connection.
[[nodiscard]] std::vector<char> welcome_frame(const std::string& pin_directory);

}  // namespace sluice::control
