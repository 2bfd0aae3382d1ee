// A server on a socket of its own, and clients of it in this process.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/descriptor_passing.hpp"
#include "bpf/client/client.hpp"
#include "bpf/client/frame.hpp"
#include "bpf/isa/insn.hpp"
#include "control/api_server.hpp"

namespace sluice::control {

inline union bpf_attr empty_attr() {
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  return attr;
}
inline uint64_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

inline long create_hash(bpf::Client& client, uint32_t entries = 16, uint32_t value_size = 8) {
  auto attr = empty_attr();
  attr.map_type = BPF_MAP_TYPE_HASH;
  attr.key_size = 4;
  attr.value_size = value_size;
  attr.max_entries = entries;
  return client.bpf(BPF_MAP_CREATE, &attr, sizeof attr);
}
inline long element(bpf::Client& client, int cmd, long map, const void* key, const void* value,
                    uint64_t flags = 0) {
  auto attr = empty_attr();
  attr.map_fd = static_cast<uint32_t>(map);
  attr.key = address(key);
  attr.value = address(value);
  attr.flags = flags;
  return client.bpf(cmd, &attr, sizeof attr);
}

class Api : public testing::Test {
 protected:
  explicit Api(bpf::SurfaceOptions options = {}) : surface_(std::move(options)) {
    std::string pattern = testing::TempDir() + "sluice_api_XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    start();
  }
  ~Api() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  void start(int frame_seconds = 10) {
    server_.reset();
    ApiOptions options;
    options.pin_directory = folder_;
    options.frame_seconds = frame_seconds;
    options.query = query_;
    auto listener = SocketListener::open({path(), 0600, ::getuid(), ::getgid()});
    ASSERT_TRUE(listener) << listener.error().text;
    auto server = ApiServer::start(surface_, std::move(*listener), std::move(options));
    ASSERT_TRUE(server) << server.error().text;
    server_ = std::move(*server);
  }
  [[nodiscard]] std::string path() const { return folder_ + "/sock"; }
  [[nodiscard]] std::unique_ptr<bpf::Client> connect() const {
    auto client = bpf::Client::connect(path());
    EXPECT_TRUE(client) << client.error().text;
    return client ? std::move(*client) : nullptr;
  }
  // A connection without manners. It has read the welcome.
  [[nodiscard]] UniqueFd raw() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return {};
    char welcome[4096];
    bpf::wire::FrameHeader header;
    if (::recv(fd.get(), &header, sizeof header, MSG_WAITALL) != sizeof header ||
        header.size > sizeof welcome) {
      return {};
    }
    const auto rest = static_cast<ssize_t>(header.size - sizeof header);
    return ::recv(fd.get(), welcome, static_cast<size_t>(rest), MSG_WAITALL) == rest ? std::move(fd)
                                                                                     : UniqueFd();
  }
  // Waits until the server has closed the connection.
  static bool closed_by_server(int fd) {
    char byte;
    ssize_t count;
    while ((count = ::recv(fd, &byte, 1, 0)) > 0) {
    }
    return count == 0 || errno == ECONNRESET;
  }

  bpf::BpfSurface surface_;
  ApiQuery query_ = [](std::string_view what) -> Result<std::string> {
    if (what == "status") return "{\"pid\": 1}";
    return fail(ENOENT, "no such query");
  };
  std::string folder_;
  std::unique_ptr<ApiServer> server_;
};

}  // namespace sluice::control
