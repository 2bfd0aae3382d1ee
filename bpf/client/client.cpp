#include "bpf/client/client.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "base/descriptor_passing.hpp"
#include "bpf/client/answers.hpp"
#include "bpf/client/frame.hpp"

namespace sluice::bpf {
namespace {

using wire::FrameType;

constexpr size_t kReceiveBytes = 16384;  // most answers are shorter: one system call

Result<UniqueFd> open_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string what = "connect to the daemon at " + path;
  if (path.size() >= sizeof address.sun_path) return fail(errno_error(ENAMETOOLONG, what));
  path.copy(address.sun_path, path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int code = errno;
    Error error = errno_error(code, what);
    if (code == ENOENT || code == ECONNREFUSED)
      error.text += " (is sluice running, with an `api:` section?)";
    return fail(std::move(error));
  }
  return fd;
}

// Each write as far as it goes; EFAULT if one did not.
long apply_writes(wire::FrameReader& frame, uint32_t count, Process& process) {
  long result = 0;
  for (uint32_t i = 0; i < count; i++) {
    wire::Write write;
    std::span<const char> bytes;
    if (!frame.get(&write) || !frame.get_bytes(write.size, &bytes)) return -EPROTO;
    if (process.write(write.address, bytes.data(), bytes.size()) != 0) result = -EFAULT;
  }
  return result;
}

bool add_needs(wire::FrameReader& frame, Answers* answers) {
  struct {
    uint32_t count, pad;
  } header;
  if (!frame.get(&header) || header.count == 0 || header.count > wire::kNeedsMax) return false;
  for (uint32_t i = 0; i < header.count; i++) {
    wire::Need need;
    if (!frame.get(&need) || !answers->add(need)) return false;
  }
  return frame.at_end();
}

}  // namespace

std::string socket_path() {
  const char* chosen = std::getenv("SLUICE_SOCKET");
  return chosen != nullptr && *chosen != '\0' ? chosen : kDefaultSocket;
}

Result<std::unique_ptr<Client>> Client::connect(const std::string& path) {
  auto socket = open_socket(path);
  if (!socket) return fail(std::move(socket.error()));
  std::unique_ptr<Client> client(new Client(std::move(*socket)));
  std::vector<char> frame;
  UniqueFd none;
  if (auto status = client->receive(&frame, &none); !status)
    return fail(std::move(status.error()).in(path));
  wire::FrameReader reader(frame);
  wire::TextHeader header;
  std::span<const char> text;
  if (reader.type() != FrameType::welcome || !reader.get(&header) ||
      !reader.get_bytes(header.length, &text)) {
    return fail(EPROTO, path + ": not a sluice daemon of this version");
  }
  client->pin_directory_.assign(text.begin(), text.end());
  return client;
}

Client::~Client() = default;

Status Client::send(const std::vector<char>& frame, const std::vector<int>& descriptors) {
  size_t sent = 0;
  while (sent < frame.size()) {
    const ssize_t count =
        send_with_descriptors(socket_.get(), std::span(frame).subspan(sent),
                              sent == 0 ? std::span(descriptors) : std::span<const int>());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error(errno, "send to the daemon"));
    sent += static_cast<size_t>(count);
  }
  return {};
}

ssize_t Client::receive_some(std::span<char> bytes, std::vector<UniqueFd>* descriptors) {
  if (daemon_cpu_ != wire::kCpuUnknown && daemon_cpu_ != ::sched_getcpu()) {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::nanoseconds(wire::kLookNanoseconds);
    do {
      const ssize_t count =
          receive_with_descriptors(socket_.get(), bytes, descriptors, MSG_DONTWAIT);
      if (count >= 0 || errno != EAGAIN) return count;
    } while (std::chrono::steady_clock::now() < end);
  }
  return receive_with_descriptors(socket_.get(), bytes, descriptors);
}

Status Client::receive(std::vector<char>* frame, UniqueFd* descriptor) {
  size_t wanted = sizeof(wire::FrameHeader);
  size_t have = 0;
  frame->resize(kReceiveBytes);
  while (have < wanted) {
    std::vector<UniqueFd> came;
    const ssize_t count = receive_some(std::span(*frame).subspan(have), &came);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(errno_error(errno, "receive from the daemon"));
    if (count == 0) return fail(ENOTCONN, "the daemon has closed the connection");
    if (!came.empty()) *descriptor = std::move(came[0]);
    have += static_cast<size_t>(count);
    if (have < sizeof(wire::FrameHeader)) continue;
    wire::FrameHeader head;
    std::memcpy(&head, frame->data(), sizeof head);
    if (head.version != wire::kVersion || head.size < sizeof head || head.size > wire::kFrameMax) {
      return fail(EPROTO, "not a sluice daemon of this version");
    }
    wanted = head.size;
    if (have > wanted) return fail(EPROTO, "the daemon sent more than was asked for");
    frame->resize(std::max<size_t>(wanted, have));
  }
  frame->resize(wanted);
  return {};
}

long Client::bpf(int cmd, union bpf_attr* attr, unsigned size) {
  LocalProcess self;
  Outcome outcome = call(self, cmd, reinterpret_cast<uintptr_t>(attr), size);
  return outcome.descriptor ? outcome.descriptor.release() : outcome.value;
}

Client::Outcome Client::call(Process& process, int cmd, uint64_t attr_address, unsigned size) {
  if (size > wire::kAttrMax) return {-E2BIG, {}};
  char bytes[wire::kAttrMax];
  if (process.read(attr_address, bytes, size) != 0) return {-EFAULT, {}};
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  std::memcpy(&attr, bytes, std::min<size_t>(size, sizeof attr));
  Answers answers(process);
  answers.guess(cmd, attr);

  std::lock_guard guard(turn_);
  for (int round = 0; socket_ && round < wire::kRoundsMax; round++) {
    wire::FrameWriter writer(FrameType::call);
    writer.put(wire::CallHeader{cmd, size, attr_address, answers.count(), ::sched_getcpu()});
    writer.put_bytes(bytes, size);
    answers.put(&writer);
    if (writer.size() > wire::kFrameMax) return {-E2BIG, {}};
    std::vector<char> frame;
    UniqueFd descriptor;
    if (!send(std::move(writer).finish(), answers.descriptors()) || !receive(&frame, &descriptor))
      break;
    wire::FrameReader reader(frame);
    if (reader.type() == FrameType::need && add_needs(reader, &answers)) continue;
    wire::ResultHeader result;
    if (reader.type() != FrameType::result || !reader.get(&result)) break;
    daemon_cpu_ = result.cpu;
    const long written = apply_writes(reader, result.writes, process);
    if (written == -EPROTO || (result.has_descriptor != 0) != static_cast<bool>(descriptor)) break;
    // A call that cannot give its results has failed: the descriptor closes here.
    if (written != 0) return {written, {}};
    return {static_cast<long>(result.value), std::move(descriptor)};
  }
  socket_.reset();
  return {-ENOTCONN, {}};
}

Result<std::string> Client::query(std::string_view what) {
  wire::FrameWriter writer(FrameType::query);
  writer.put(wire::TextHeader{0, static_cast<uint32_t>(what.size())});
  writer.put_bytes(what.data(), what.size());
  std::lock_guard guard(turn_);
  if (!socket_) return fail(ENOTCONN, "the daemon is gone");
  std::vector<char> frame;
  UniqueFd none;
  Status status = send(std::move(writer).finish(), {});
  if (status) status = receive(&frame, &none);
  if (!status) {
    socket_.reset();
    return fail(std::move(status.error()));
  }
  wire::FrameReader reader(frame);
  wire::TextHeader header;
  std::span<const char> text;
  if (reader.type() != FrameType::text || !reader.get(&header) ||
      !reader.get_bytes(header.length, &text)) {
    socket_.reset();
    return fail(EPROTO, "not a sluice daemon of this version");
  }
  std::string answer(text.begin(), text.end());
  if (header.code != 0) return fail(static_cast<int>(header.code), std::move(answer));
  return answer;
}

// By device and inode on the way up, so that mount namespaces, links and relative paths need no
// thought.
bool Client::in_pin_directory(int directory) const {
  constexpr int kDepthMax = 64;
  struct stat pins, here;
  if (pin_directory_.empty() || ::stat(pin_directory_.c_str(), &pins) != 0) return false;
  UniqueFd at(::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (int depth = 0; depth < kDepthMax; depth++) {
    if (!at || ::fstat(at.get(), &here) != 0) return false;
    if (here.st_dev == pins.st_dev && here.st_ino == pins.st_ino) return true;
    const ino_t below = here.st_ino;
    const dev_t device = here.st_dev;
    at.reset(::openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    // the root
    if (at && ::fstat(at.get(), &here) == 0 && here.st_ino == below && here.st_dev == device)
      return false;
  }
  return false;
}

}  // namespace sluice::bpf
