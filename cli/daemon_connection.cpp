#include "cli/daemon_connection.hpp"

#include <grp.h>
#include <unistd.h>

#include <algorithm>

#include "bpf/loader/refusal.hpp"
#include "cli/tool/daemon_text.hpp"

namespace sluice::cli {
namespace {

// The daemon has only the log to speak through: its reason, which stands at the log's end, is what
// a person reads first.
std::string reason_first(const std::string& text) {
  constexpr std::string_view kReason = "\nreason: ";
  const size_t at = text.rfind(kReason);
  if (!text.starts_with('\n') || at == std::string::npos) return text;
  const size_t from = at + kReason.size();
  return text.substr(from, text.find('\n', from) - from) + text;
}

Result<std::unique_ptr<bpf::Client>> connect() {
  auto client = bpf::Client::connect();
  if (client) return client;
  Error error = std::move(client.error());
  if (error.code == ENOENT || error.code == ECONNREFUSED)
    error.text += "; another socket: set SLUICE_SOCKET";
  if (error.code == EACCES) error.text += "; the socket's group (api: gid) may use the daemon";
  return fail(std::move(error));
}

}  // namespace

Result<std::unique_ptr<DaemonConnection>> DaemonConnection::open() {
  auto client = connect();
  if (!client) return fail(std::move(client.error()));
  return std::unique_ptr<DaemonConnection>(new DaemonConnection(std::move(*client)));
}

// The daemon knows its clients as they were when they connected.
Status DaemonConnection::drop_privileges() {
  constexpr uid_t kNobody = 65534;
  if (::geteuid() == 0 &&
      (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
       ::setresuid(kNobody, kNobody, kNobody) != 0)) {
    return fail(errno_error(errno, "become an unprivileged user"));
  }
  auto client = connect();
  if (!client) return fail(std::move(client.error()).in("as an unprivileged user"));
  session_.reset();
  client_ = std::move(*client);
  session_.emplace(*client_);
  return {};
}

Result<std::string> DaemonConnection::query(std::string_view what) {
  auto answer = client_->query(what);
  if (answer) return answer;
  switch (answer.error().code) {
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN: return fail(ENOTCONN, "the daemon is gone");
    default: return answer;
  }
}

std::string DaemonConnection::load_failure(const std::vector<std::string>& programs) {
  for (const auto& program : programs) {
    if (const auto* failure = session_->failure_of(program)) {
      return "program " + program + ": " + reason_first(bpf::refusal(*failure).text);
    }
  }
  std::string map;
  if (const auto* failure = session_->map_failure(&map)) {
    Error error = bpf::refusal(*failure);
    if (!error.text.empty()) return std::move(error).in("map " + map).text;
  }
  return session_->take_messages();
}

Result<uint32_t> DaemonConnection::port_index(const std::string& name) {
  const auto text = query("ports");
  if (!text) return fail(text.error());
  const auto ports = Json::parse(*text);
  if (!ports) return fail(ports.error());
  std::string names;
  for (const auto& port : ports->items()) {
    if (port["name"].text() == name) return static_cast<uint32_t>(port["ifindex"].count());
    names += (names.empty() ? "" : ", ") + port["name"].text();
  }
  if (!name.empty() &&
      std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return static_cast<uint32_t>(std::strtoul(name.c_str(), nullptr, 10));
  }
  return fail(ENODEV, "no port \"" + name + "\"; " +
                          (names.empty() ? "the daemon has none" : "the daemon has " + names));
}

std::string DaemonConnection::port_name(uint32_t index) {
  const auto text = query("ports");
  if (!text) return "";
  const auto ports = Json::parse(*text);
  if (!ports) return "";
  for (const auto& port : ports->items()) {
    if (port["ifindex"].count() == index) return port["name"].text();
  }
  return "";
}

}  // namespace sluice::cli
