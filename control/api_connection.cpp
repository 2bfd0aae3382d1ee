#include "control/api_connection.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/descriptor_passing.hpp"
#include "bpf/client/frame.hpp"

namespace sluice::control {
namespace {

using bpf::wire::FrameHeader;

constexpr size_t kFirstBytes = 4096;  // most requests are shorter

}  // namespace

// 0: the header has not come yet; SIZE_MAX: it is none.
size_t ApiConnection::frame_size() const {
  FrameHeader header;
  if (received_ < sizeof header) return 0;
  std::memcpy(&header, in_.data(), sizeof header);
  const bool valid = header.version == bpf::wire::kVersion && header.size >= sizeof header &&
                     header.size <= bpf::wire::kFrameMax && header.size % 8 == 0;
  return valid ? header.size : SIZE_MAX;
}

bool ApiConnection::receive() {
  for (;;) {
    const size_t size = frame_size();
    if (size == SIZE_MAX) return false;
    if (size != 0 && received_ >= size) return true;
    // Memory grows with the bytes that have come, not with those announced.
    const size_t wanted = std::max(kFirstBytes, size == 0 ? 0 : std::min(size, received_ * 4));
    if (in_.size() < wanted) in_.resize(wanted);
    // Not beyond this frame: what follows is the next one's.
    const size_t room = (size == 0 ? in_.size() : std::min(size, in_.size())) - received_;
    const ssize_t count = receive_with_descriptors(socket_.get(), {in_.data() + received_, room},
                                                   &descriptors_, MSG_DONTWAIT);
    if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (count == 0 || descriptors_.size() > bpf::wire::kDescriptorsMax) return false;
    if (received_ == 0) in_since_ = Clock::now();
    received_ += static_cast<size_t>(count);
    const size_t now = frame_size();
    // a second request before the answer
    if (now != 0 && now != SIZE_MAX && received_ > now) return false;
  }
}

bool ApiConnection::take(ApiRequest* request) {
  const size_t size = frame_size();
  if (size == 0 || size == SIZE_MAX || received_ < size) return false;
  in_.resize(size);
  *request = {std::move(in_), std::move(descriptors_), uid_, gid_};
  in_.clear();
  descriptors_.clear();
  received_ = 0;
  return true;
}

void ApiConnection::queue(std::vector<char> frame, UniqueFd descriptor) {
  if (out_.empty()) out_since_ = Clock::now();
  out_bytes_ += frame.size();
  out_.push_back({std::move(frame), std::move(descriptor), 0});
}

bool ApiConnection::send_some(Outgoing& outgoing, bool* full) {
  const int fd = outgoing.descriptor.get();
  const ssize_t count =
      send_with_descriptors(socket_.get(), std::span(outgoing.frame).subspan(outgoing.sent),
                            {&fd, outgoing.descriptor ? size_t{1} : 0}, MSG_DONTWAIT);
  *full = count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  if (count < 0) return *full || errno == EINTR;
  outgoing.descriptor.reset();
  outgoing.sent += static_cast<size_t>(count);
  return true;
}

bool ApiConnection::flush() {
  while (!out_.empty()) {
    bool full = false;
    if (!send_some(out_.front(), &full)) return false;
    if (full) return true;
    if (out_.front().sent < out_.front().frame.size()) continue;
    out_bytes_ -= out_.front().frame.size();
    out_.pop_front();
  }
  return true;
}

bool ApiConnection::stalled_since(Clock::time_point limit) const {
  return (received_ > 0 && in_since_ < limit) || (sending() && out_since_ < limit);
}

}  // namespace sluice::control
