// One connection of the API socket: bytes and descriptors gathered into requests, answers sent as
// far as the client takes them. Never blocks. The socket's thread alone.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <deque>
#include <vector>

#include "base/unique_fd.hpp"
#include "control/api_call.hpp"

namespace sluice::control {

class ApiConnection {
 public:
  using Clock = std::chrono::steady_clock;

  ApiConnection(UniqueFd socket, uid_t uid, gid_t gid)
      : socket_(std::move(socket)), uid_(uid), gid_(gid) {}

  [[nodiscard]] int socket() const { return socket_.get(); }
  // Reads what is there, at most one frame. False: the client is gone, or sends what is no frame.
  bool receive();
  // A whole frame has come: takes it.
  bool take(ApiRequest* request);
  // Sends now or, what the client does not take yet, by later calls of flush.
  void queue(std::vector<char> frame, UniqueFd descriptor);
  // False: the client is gone.
  bool flush();

  [[nodiscard]] bool sending() const { return !out_.empty(); }
  // Bytes of memory that the connection occupies.
  [[nodiscard]] size_t held_bytes() const { return in_.capacity() + out_bytes_; }
  // A frame has begun and is not whole, or an answer is not taken, since before `limit`.
  [[nodiscard]] bool stalled_since(Clock::time_point limit) const;

  bool busy = false;  // a request is being answered: nothing more is read

 private:
  struct Outgoing {
    std::vector<char> frame;
    UniqueFd descriptor;
    size_t sent = 0;
  };
  [[nodiscard]] size_t frame_size() const;
  bool send_some(Outgoing& outgoing, bool* full);

  UniqueFd socket_;
  uid_t uid_;
  gid_t gid_;
  std::vector<char> in_;
  size_t received_ = 0;  // bytes of in_
  std::vector<UniqueFd> descriptors_;
  std::deque<Outgoing> out_;
  size_t out_bytes_ = 0;
  Clock::time_point in_since_;   // while 0 < received_
  Clock::time_point out_since_;  // while sending()
};

}  // namespace sluice::control
