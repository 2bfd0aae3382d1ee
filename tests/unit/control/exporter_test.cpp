#include "control/exporter.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>

#include "base/unique_fd.hpp"
#include "control/readiness.hpp"

namespace sluice::control {
namespace {

std::string get(int port, const std::string& path) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "";
  const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
  if (write(socket.get(), request.data(), request.size()) < 0) return "";
  std::string answer;
  char part[4096];
  for (ssize_t n; (n = read(socket.get(), part, sizeof part)) > 0;)
    answer.append(part, static_cast<size_t>(n));
  return answer;
}

std::vector<prometheus::MetricFamily> one_family() {
  Families families;
  families.counter("a_total", "Things.", {{"kind", "x"}}, 3);
  return families.take();
}

TEST(Exporter, ServesMetricsAndHealthOnAFreePort) {
  const auto exporter = Exporter::start("127.0.0.1:0", one_family);
  ASSERT_TRUE(exporter) << exporter.error().text;
  const int port = (*exporter)->port();
  ASSERT_GT(port, 0);
  EXPECT_NE(get(port, "/metrics")
                .find("# HELP a_total Things.\n# TYPE a_total counter\na_total{kind=\"x\"} 3\n"),
            std::string::npos);
  EXPECT_TRUE(get(port, "/-/healthy").starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(get(port, "/-/ready").starts_with("HTTP/1.1 200"));
  EXPECT_NE(get(port, "/other").substr(0, 16).find(" 404 "), std::string::npos)
      << get(port, "/other");
}

TEST(Exporter, ATakenPortIsAnErrorThatNamesTheAddress) {
  const auto first = Exporter::start("127.0.0.1:0", one_family);
  ASSERT_TRUE(first);
  const std::string address = "127.0.0.1:" + std::to_string((*first)->port());
  const auto second = Exporter::start(address, one_family);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().text, "metrics: cannot listen on " + address +
                                     " (is the address taken, or not of this machine?)");
}

TEST(Exporter, ItsPortIsFreeWhenItHasEnded) {
  auto exporter = Exporter::start("127.0.0.1:0", one_family);
  ASSERT_TRUE(exporter);
  const std::string address = "127.0.0.1:" + std::to_string((*exporter)->port());
  for (int i = 0; i < 5; i++) {
    exporter->reset();
    exporter = Exporter::start(address, one_family);
    ASSERT_TRUE(exporter) << exporter.error().text;
    EXPECT_TRUE(get((*exporter)->port(), "/-/ready").starts_with("HTTP/1.1 200"));
  }
}

TEST(Readiness, OneDatagramGoesToTheNotifySocket) {
  const UniqueFd server(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "@sluice-test-" + std::to_string(getpid());
  name.copy(address.sun_path, name.size());
  address.sun_path[0] = '\0';
  ASSERT_EQ(bind(server.get(), reinterpret_cast<sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
            0);
  setenv("NOTIFY_SOCKET", name.c_str(), 1);
  notify_service_manager("READY=1");
  unsetenv("NOTIFY_SOCKET");
  char text[64];
  const ssize_t length = recv(server.get(), text, sizeof text, MSG_DONTWAIT);
  ASSERT_GT(length, 0);
  EXPECT_EQ(std::string(text, static_cast<size_t>(length)), "READY=1");
}

}  // namespace
}  // namespace sluice::control
