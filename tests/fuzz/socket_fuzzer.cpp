// libFuzzer over the API socket: bytes as a client sends them, in pieces, to a connection whose
// requests a surface answers. Nothing may crash, and every answer must be a frame that a client can
// read to its end.
#include <sys/socket.h>

#include <cstdlib>

#include "bpf/client/frame.hpp"
#include "control/api_call.hpp"
#include "control/api_connection.hpp"

using namespace sluice;

namespace {

// A surface and what is in it from one input to the next: a map that calls can hit by id.
struct Daemon {
  Daemon() {
    union bpf_attr attr;
    std::memset(&attr, 0, sizeof attr);
    attr.map_type = BPF_MAP_TYPE_HASH;
    attr.key_size = 4;
    attr.value_size = 8;
    attr.max_entries = 4;
    map.reset(static_cast<int>(surface.bpf({}, BPF_MAP_CREATE, &attr, sizeof attr)));
  }
  bpf::BpfSurface surface;
  UniqueFd map;
};

void require(bool condition) {
  if (!condition) std::abort();
}

void check_reply(const std::vector<char>& frame) {
  if (frame.empty()) return;  // refused
  bpf::wire::FrameReader reader(frame);
  if (reader.type() == bpf::wire::FrameType::result) {
    bpf::wire::ResultHeader header;
    require(reader.get(&header));
    for (uint32_t i = 0; i < header.writes; i++) {
      bpf::wire::Write write;
      std::span<const char> bytes;
      require(reader.get(&write) && reader.get_bytes(write.size, &bytes));
    }
    require(reader.at_end());
  }
  require(reader.ok());
}

// What only takes long: large maps, and programs run often.
void make_small(std::vector<char>* frame) {
  constexpr size_t kAttr = sizeof(bpf::wire::FrameHeader) + sizeof(bpf::wire::CallHeader);
  bpf::wire::FrameReader reader(*frame);
  bpf::wire::CallHeader header;
  if (!reader.get(&header) || frame->size() <= kAttr) return;
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  const size_t size = std::min(sizeof attr, frame->size() - kAttr);
  std::memcpy(&attr, frame->data() + kAttr, size);
  if (header.cmd == BPF_MAP_CREATE) attr.max_entries &= 0xffff;
  if (header.cmd == BPF_MAP_CREATE) attr.value_size &= 0xfff;
  if (header.cmd == BPF_PROG_TEST_RUN) attr.test.repeat &= 0xff;
  std::memcpy(frame->data() + kAttr, &attr, size);
}

// The input, with the descriptors that its first byte tells: copies of the map's.
void send_input(int socket, const uint8_t* data, size_t size, int map, unsigned count) {
  alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
  iovec part{const_cast<uint8_t*>(data), size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (unsigned i = 0; i < count; i++)
      std::memcpy(CMSG_DATA(header) + i * sizeof(int), &map, sizeof map);
  }
  ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Daemon daemon;
  int pair[2];
  if (size < 2 || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return 0;
  const UniqueFd client(pair[0]);
  control::ApiConnection connection(UniqueFd(pair[1]), 0, 0);
  const unsigned descriptors = data[0] % 5u;
  const size_t first = std::min<size_t>(data[1], size - 2);  // the input comes in two pieces
  const auto query = [](std::string_view) -> Result<std::string> { return std::string("{}"); };
  for (const auto& [from, length] :
       {std::pair{size_t{2}, first}, std::pair{2 + first, size - 2 - first}}) {
    if (length == 0) continue;
    send_input(client.get(), data + from, length, daemon.map.get(), from == 2 ? descriptors : 0);
    if (!connection.receive()) return 0;
    control::ApiRequest request;
    if (!connection.take(&request)) continue;
    make_small(&request.frame);
    check_reply(control::answer(daemon.surface, query, request, nullptr, nullptr).frame);
  }
  daemon.surface.objects().sweep();
  return 0;
}
