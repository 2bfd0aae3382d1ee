#include "control/api_server.hpp"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <thread>
#include <unordered_map>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "control/api_connection.hpp"
#include "control/api_worker.hpp"

namespace sluice::control {
namespace {

constexpr int kTickMilliseconds = 250;
// Marks in epoll's data; connections count from kFirstConnection.
constexpr uint64_t kListener = 0;
constexpr uint64_t kWake = 1;
constexpr uint64_t kClosed = 2;  // a client's descriptor: its last copy is closed
constexpr uint64_t kFirstConnection = 3;

// A descriptor for each connection, and those that requests carry.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

struct ApiServer::State {
  State(bpf::BpfSurface& surface_, ApiOptions options_, SocketListener listener_)
      : surface(surface_), options(std::move(options_)), listener(std::move(listener_)) {}

  void run();
  void accept_all();
  void open_connection(UniqueFd socket);
  void serve(uint64_t id, uint32_t events);
  void dispatch(uint64_t id, ApiConnection& connection);
  void deliver(uint64_t id, ApiReply reply);
  void watch(uint64_t id, const ApiConnection& connection);
  void account(ApiConnection& connection, size_t before) {
    held_bytes += connection.held_bytes() - before;
  }
  void close(uint64_t id);
  void close_stalled();
  [[nodiscard]] ApiWorker& worker_for(ApiPace pace) {
    return *workers[static_cast<size_t>(pace) - 1];
  }
  [[nodiscard]] size_t held_by_workers() {
    size_t bytes = 0;
    for (auto& worker : workers) bytes += worker->held_bytes();
    return bytes;
  }

  bpf::BpfSurface& surface;
  const ApiOptions options;
  SocketListener listener;
  UniqueFd epoll;
  UniqueFd wake;
  std::atomic<bool> stopping{false};  // main thread: rw, socket's thread: ro
  std::array<std::unique_ptr<ApiWorker>, 3> workers;  // worker_for
  std::thread thread;

  // The socket's thread alone.
  std::unordered_map<uint64_t, ApiConnection> connections;
  uint64_t next_id = kFirstConnection;
  size_t held_bytes = 0;
  bool accepting = true;
  ApiConnection::Clock::time_point look_until;  // until then it is not slept
};

void ApiServer::State::run() {
  epoll_event events[64];
  auto next_check = ApiConnection::Clock::now();
  auto now = next_check;
  while (!stopping.load()) {
    const int count = ::epoll_wait(epoll.get(), events, std::size(events),
                                   now < look_until ? 0 : kTickMilliseconds);
    for (int i = 0; i < count; i++) {
      const uint64_t id = events[i].data.u64;
      if (id == kListener) {
        accept_all();
      } else if (id == kWake) {
        eventfd_t value;
        ::eventfd_read(wake.get(), &value);
        for (auto& worker : workers) {
          for (auto& done : worker->take_done()) deliver(done.connection, std::move(done.reply));
        }
      } else if (id == kClosed) {
        surface.objects().sweep();
      } else {
        serve(id, events[i].events);
      }
    }
    now = ApiConnection::Clock::now();
    if (now < next_check) continue;
    next_check = now + std::chrono::milliseconds(kTickMilliseconds);
    close_stalled();
  }
}

void ApiServer::State::accept_all() {
  for (;;) {
    UniqueFd socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      open_connection(std::move(socket));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      // No descriptors or memory: those who wait in the backlog are looked at again at the next
      // tick.
      epoll_event none{0, {.u64 = kListener}};
      ::epoll_ctl(epoll.get(), EPOLL_CTL_MOD, listener.fd(), &none);
      accepting = false;
    }
    return;
  }
}

void ApiServer::State::open_connection(UniqueFd socket) {
  ucred who{};
  socklen_t length = sizeof who;
  if (connections.size() >= kMaxApiConnections) return;  // closes it
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return;
  const uint64_t id = next_id++;
  auto& connection = connections.try_emplace(id, std::move(socket), who.uid, who.gid).first->second;
  epoll_event event{EPOLLIN, {.u64 = id}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, connection.socket(), &event) != 0) return close(id);
  const size_t before = 0;
  connection.queue(welcome_frame(options.pin_directory), {});
  const bool alive = connection.flush();
  account(connection, before);
  if (!alive) return close(id);
  if (connection.sending()) watch(id, connection);
}

void ApiServer::State::serve(uint64_t id, uint32_t events) {
  const auto found = connections.find(id);
  if (found == connections.end()) return;
  ApiConnection& connection = found->second;
  const size_t before = connection.held_bytes();
  // A client that has gone is not asked for more; what it asked for has been or is being done.
  bool alive = (events & EPOLLERR) == 0 && !((events & EPOLLHUP) != 0 && (events & EPOLLIN) == 0);
  if (alive && (events & EPOLLOUT) != 0) alive = connection.flush();
  if (alive && (events & EPOLLIN) != 0 && !connection.busy && !connection.sending())
    alive = connection.receive();
  account(connection, before);
  if (!alive || held_bytes + held_by_workers() > kMaxApiBytes) return close(id);
  dispatch(id, connection);
}

void ApiServer::State::dispatch(uint64_t id, ApiConnection& connection) {
  ApiRequest request;
  const size_t before = connection.held_bytes();
  if (!connection.busy && !connection.sending() && connection.take(&request)) {
    account(connection, before);
    ApiNature nature = nature_of(request);
    if (nature.pace == ApiPace::quick) {
      bool slow = false;
      ApiReply reply = answer(surface, options.query, request, nullptr, &slow);
      if (nature.cpu != bpf::wire::kCpuUnknown && nature.cpu != ::sched_getcpu()) {
        look_until =
            ApiConnection::Clock::now() + std::chrono::nanoseconds(bpf::wire::kLookNanoseconds);
      }
      if (!slow) return deliver(id, std::move(reply));
      nature.pace = ApiPace::load;
    }
    worker_for(nature.pace).submit(id, std::move(request));
    connection.busy = true;
  }
  watch(id, connection);
}

void ApiServer::State::deliver(uint64_t id, ApiReply reply) {
  const auto found = connections.find(id);
  if (found == connections.end()) return;  // gone meanwhile: its descriptor closes here
  ApiConnection& connection = found->second;
  const bool was_busy = std::exchange(connection.busy, false);
  if (reply.frame.empty()) return close(id);
  const size_t before = connection.held_bytes();
  connection.queue(std::move(reply.frame), std::move(reply.descriptor));
  const bool alive = connection.flush();
  account(connection, before);
  if (!alive) return close(id);
  if (was_busy || connection.sending()) watch(id, connection);
}

// Reading goes on when the last request is answered and its answer taken.
void ApiServer::State::watch(uint64_t id, const ApiConnection& connection) {
  epoll_event event{0, {.u64 = id}};
  if (connection.sending()) event.events = EPOLLOUT;
  if (!connection.sending() && !connection.busy) event.events = EPOLLIN;
  ::epoll_ctl(epoll.get(), EPOLL_CTL_MOD, connection.socket(), &event);
}

void ApiServer::State::close(uint64_t id) {
  const auto found = connections.find(id);
  if (found == connections.end()) return;
  held_bytes -= found->second.held_bytes();
  if (found->second.busy) {
    for (auto& worker : workers) worker->cancel(id);
  }
  connections.erase(found);
}

void ApiServer::State::close_stalled() {
  if (!accepting) {
    accepting = true;
    epoll_event event{EPOLLIN, {.u64 = kListener}};
    ::epoll_ctl(epoll.get(), EPOLL_CTL_MOD, listener.fd(), &event);
  }
  const auto limit = ApiConnection::Clock::now() - std::chrono::seconds(options.frame_seconds);
  for (auto next = connections.begin(); next != connections.end();) {
    const uint64_t id = next->first;
    const bool stalled = next->second.stalled_since(limit);
    ++next;
    if (stalled) close(id);
  }
}

ApiServer::ApiServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<ApiServer>> ApiServer::start(bpf::BpfSurface& surface,
                                                    SocketListener listener, ApiOptions options) {
  raise_descriptor_limit();
  auto state = std::make_unique<State>(surface, std::move(options), std::move(listener));
  state->epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
  state->wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->epoll || !state->wake) return fail(errno_error(errno, "epoll"));
  const std::pair<int, uint64_t> watched[] = {{state->listener.fd(), kListener},
                                              {state->wake.get(), kWake},
                                              {surface.objects().closed_fd(), kClosed}};
  for (const auto& [fd, mark] : watched) {
    epoll_event event{EPOLLIN, {.u64 = mark}};
    if (::epoll_ctl(state->epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0)
      return fail(errno_error(errno, "epoll"));
  }
  State* shared = state.get();
  const auto slow = [shared](ApiRequest request, const std::atomic<bool>* cancelled) {
    return answer(shared->surface, shared->options.query, request, cancelled, nullptr);
  };
  for (auto& worker : state->workers) worker = std::make_unique<ApiWorker>(slow, state->wake.get());
  state->thread = std::thread([shared] { shared->run(); });
  return std::unique_ptr<ApiServer>(new ApiServer(std::move(state)));
}

ApiServer::~ApiServer() {
  state_->stopping.store(true);
  ::eventfd_write(state_->wake.get(), 1);
  state_->thread.join();
  for (auto& worker : state_->workers) worker.reset();
}

}  // namespace sluice::control
