// The API socket: bpf(2) for other processes (bpf/client/socket_protocol.hpp). One thread serves
// all connections and waits for none; what takes long is answered on three threads beside it,
// programs' test runs on one, queries on one, loads and the rest on another. A client that lies,
// stalls or vanishes costs its connection. start and the destructor: main thread.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "control/api_call.hpp"
#include "control/socket_listener.hpp"

namespace sluice::control {

struct ApiOptions {
  std::string pin_directory;  // as clients are told; empty: none
  ApiQuery query;             // called on a thread of its own
  // a frame not complete, or an answer not taken, after that: the connection is closed
  int frame_seconds = 10;
};

class ApiServer {
 public:
  // The surface must outlive the server. Who has connected to the listener before is answered now.
  static Result<std::unique_ptr<ApiServer>> start(bpf::BpfSurface& surface, SocketListener listener,
                                                  ApiOptions options);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

 private:
  struct State;
  explicit ApiServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::control
