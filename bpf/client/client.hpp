// The daemon as a client sees it: bpf(2) with the kernel's ABI over the API socket
// (bpf/client/socket_protocol.hpp). Descriptors are real ones of this process and close with
// close(2). Thread-safe: a Client makes one call at a time, and threads that want calls side by
// side take a Client each.
#pragma once

#include <linux/bpf.h>

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "bpf/surface/process.hpp"

namespace sluice::bpf {

inline constexpr const char* kDefaultSocket = "/run/sluice/sluice.sock";
// SLUICE_SOCKET of the environment, else the default.
[[nodiscard]] std::string socket_path();

class Client {
 public:
  // errors: ENOENT, ECONNREFUSED (no daemon), EACCES (not of the socket's group), EPROTO (another
  // version).
  static Result<std::unique_ptr<Client>> connect(const std::string& path = socket_path());
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // As the system call: a descriptor, 0 or a negative errno. ENOTCONN: the daemon is gone.
  long bpf(int cmd, union bpf_attr* attr, unsigned size);

  // The same on behalf of `process`, in whose memory the attribute lies: a descriptor stays ours
  // until it is handed over.
  struct Outcome {
    long value = 0;       // where `descriptor` is set it means nothing
    UniqueFd descriptor;
  };
  Outcome call(Process& process, int cmd, uint64_t attr, unsigned size);

  // What the daemon tells people: "status", "ports", "chains", "metrics", "trace". JSON text;
  // ENOENT: no such query.
  Result<std::string> query(std::string_view what);

  // The daemon's pin directory, as it spells it; empty: it keeps no pins.
  [[nodiscard]] const std::string& pin_directory() const { return pin_directory_; }
  // Whether `directory` (a descriptor, O_PATH will do) is the pin directory or lies in it, whatever
  // path led there.
  [[nodiscard]] bool in_pin_directory(int directory) const;

 private:
  explicit Client(UniqueFd socket) : socket_(std::move(socket)) {}
  Status send(const std::vector<char>& frame, const std::vector<int>& descriptors);
  Status receive(std::vector<char>* frame, UniqueFd* descriptor);
  ssize_t receive_some(std::span<char> bytes, std::vector<UniqueFd>* descriptors);

  std::mutex turn_;
  int32_t daemon_cpu_ = -1;  // where the last answer came from; -1: unknown
  UniqueFd socket_;  // closed by the first fault: after it nothing on the stream means anything
  std::string pin_directory_;
};

}  // namespace sluice::bpf
