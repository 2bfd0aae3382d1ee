#include "dataplane/dataplane.hpp"

#include <pthread.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_rcu_qsbr.h>
#include <sched.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>

#include "bpf/helpers/trace.hpp"
#include "dataplane/counters.hpp"
#include "dataplane/port_queue.hpp"
#include "dataplane/worker.hpp"

namespace sluice::dataplane {
namespace {

constexpr unsigned kDrainMilliseconds = 100;
constexpr useconds_t kGracePollMicroseconds = 50;

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

std::string mac_text(const std::array<uint8_t, 6>& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                mac[4], mac[5]);
  return text;
}

double seconds(uint64_t cycles) {
  return static_cast<double>(cycles) / static_cast<double>(rte_get_tsc_hz());
}

}  // namespace

// One worker and its thread. The thread is ours, not EAL's, so that a worker and the control thread
// can share a core.
struct WorkerThread {
  std::unique_ptr<Worker> worker;
  std::unique_ptr<bpf::TraceSink> trace;
  std::vector<PortTxQueue> tx;  // by port
  const std::atomic<bool>* stop = nullptr;
  std::atomic<int> registered{0};  // 1 yes, -1 no
  pthread_t thread{};
  unsigned core = 0;
};

struct Dataplane::State {
  // A port's transmit rings hold packets of other ports' pools: all close before any pool goes.
  ~State() {
    for (Port& port : ports) port.close();
  }

  std::vector<Port> ports;
  std::deque<WorkerThread> threads;
  std::deque<PortRxQueue> rx;
  std::deque<rte_spinlock_t> tx_locks;
  std::deque<ChainSlot> slots;                        // by port
  std::vector<std::unique_ptr<ActiveChain>> chains;   // by port; what the slots point at
  std::unique_ptr<rte_rcu_qsbr, Free> rcu;
  std::atomic<bool> stop{false};
  bool running = false;
  mutable std::mutex mutex;  // control threads only

  Status make_rcu();
  void deal_queues(const DataplaneSpec& spec);
  void make_tx_queues();
  void publish(uint32_t port, std::unique_ptr<ActiveChain> chain);
  Status start_thread(WorkerThread& thread);
  TxQueue* tx_for(uint32_t port, const Action& action, uint32_t worker);
};

namespace {

void* run_worker(void* argument) {
  auto& thread = *static_cast<WorkerThread*>(argument);
  // An lcore id gives the thread its own cache of every packet pool.
  const bool ok = rte_thread_register() == 0;
  thread.registered.store(ok ? 1 : -1, std::memory_order_release);
  if (!ok) return nullptr;
  thread.worker->run(*thread.stop, kDrainMilliseconds);
  rte_thread_unregister();
  return nullptr;
}

}  // namespace

Dataplane::Dataplane(std::unique_ptr<State> state) : state_(std::move(state)) {}

Dataplane::~Dataplane() { stop(); }

Result<std::unique_ptr<Dataplane>> Dataplane::create(const DataplaneSpec& spec) {
  if (spec.ports.size() > kMaxPorts)
    return fail(EINVAL, "more than " + std::to_string(kMaxPorts) + " ports");
  if (spec.cores.empty()) return fail(EINVAL, "no cores for workers");
  if (spec.cores.size() > kMaxWorkers)
    return fail(EINVAL, "more than " + std::to_string(kMaxWorkers) + " workers");
  auto state = std::make_unique<State>();
  size_t queues = 0;
  for (const PortSpec& port : spec.ports) queues += port.rx_queues;
  const size_t workers = std::min(spec.cores.size(), queues);
  state->ports.reserve(spec.ports.size());
  for (const PortSpec& port_spec : spec.ports) {
    auto port = Port::open(port_spec, static_cast<uint16_t>(workers));
    if (!port) return fail(std::move(port.error()));
    state->ports.push_back(std::move(*port));
    state->slots.emplace_back(nullptr);
  }
  state->chains.resize(spec.ports.size());
  if (auto status = state->make_rcu(); !status) return fail(std::move(status.error()));
  for (size_t i = 0; i < workers; i++) state->threads.emplace_back().core = spec.cores[i];
  state->make_tx_queues();
  state->deal_queues(spec);
  return std::unique_ptr<Dataplane>(new Dataplane(std::move(state)));
}

Status Dataplane::State::make_rcu() {
  const size_t size = (rte_rcu_qsbr_get_memsize(kMaxWorkers) + 63) & ~size_t{63};
  rcu.reset(static_cast<rte_rcu_qsbr*>(std::aligned_alloc(64, size)));
  if (rcu == nullptr) return fail(ENOMEM, "memory for the workers' grace periods");
  rte_rcu_qsbr_init(rcu.get(), kMaxWorkers);
  return {};
}

void Dataplane::State::make_tx_queues() {
  std::vector<std::vector<rte_spinlock_t*>> locks(ports.size());
  for (size_t p = 0; p < ports.size(); p++) {
    const bool shared = ports[p].tx_queues() < threads.size();
    for (uint16_t q = 0; q < ports[p].tx_queues(); q++) {
      if (shared) rte_spinlock_init(&tx_locks.emplace_back());
      locks[p].push_back(shared ? &tx_locks.back() : nullptr);
    }
  }
  for (size_t w = 0; w < threads.size(); w++) {
    for (size_t p = 0; p < ports.size(); p++) {
      const uint16_t count = ports[p].tx_queues();
      const auto queue = static_cast<uint16_t>(count == 0 ? 0 : w % count);
      threads[w].tx.emplace_back(ports[p].id(), queue, count == 0 ? nullptr : locks[p][queue]);
    }
  }
}

void Dataplane::State::deal_queues(const DataplaneSpec& spec) {
  std::vector<std::vector<WorkerQueue>> dealt(threads.size());
  std::vector<bool> backoff(threads.size(), true);
  for (WorkerThread& thread : threads) thread.trace = std::make_unique<bpf::TraceSink>();
  size_t next = 0;
  for (size_t p = 0; p < ports.size(); p++) {
    for (uint16_t q = 0; q < spec.ports[p].rx_queues; q++, next++) {
      const size_t w = next % threads.size();
      WorkerQueue& queue = dealt[w].emplace_back();
      queue.rx = &rx.emplace_back(ports[p].id(), q);
      queue.chain = &slots[p];
      queue.clear_hash = !ports[p].has_rss();
      queue.env.slot = queue.env.writer = static_cast<uint32_t>(w);
      queue.env.rx_queue = q;
      queue.env.ifindex = queue.env.ingress_ifindex = spec.ports[p].ifindex;
      std::memcpy(queue.env.mac, ports[p].mac().data(), sizeof queue.env.mac);
      queue.env.trace = threads[w].trace.get();
      if (getrandom(queue.env.random_state, sizeof queue.env.random_state, 0) < 0)
        queue.env.random_state[0] ^= next;
      queue.env.random_state[1] |= 1;
      backoff[w] = backoff[w] && ports[p].idle_backoff();
    }
  }
  for (size_t w = 0; w < threads.size(); w++) {
    const WorkerOptions options{static_cast<uint32_t>(w), backoff[w], rcu.get()};
    threads[w].worker = std::make_unique<Worker>(options, std::move(dealt[w]));
    threads[w].stop = &stop;
  }
}

TxQueue* Dataplane::State::tx_for(uint32_t port, const Action& action, uint32_t worker) {
  switch (action.kind) {
    case ActionKind::forward: return &threads[worker].tx[action.port];
    case ActionKind::reflect: return &threads[worker].tx[port];
    case ActionKind::drop:
    case ActionKind::none: return nullptr;
  }
  return nullptr;
}

void Dataplane::State::publish(uint32_t port, std::unique_ptr<ActiveChain> chain) {
  std::unique_ptr<ActiveChain> old = std::exchange(chains[port], std::move(chain));
  slots[port].store(chains[port].get(), std::memory_order_release);
  const uint64_t token = rte_rcu_qsbr_start(rcu.get());
  // Asleep between looks: a worker on this very core has to run to become quiescent.
  while (rte_rcu_qsbr_check(rcu.get(), token, false) == 0) usleep(kGracePollMicroseconds);
  if (old != nullptr && chains[port] != nullptr) chains[port]->continue_from(*old);
}

Status Dataplane::set_chain(uint32_t port, Chain chain) {
  const std::lock_guard lock(state_->mutex);
  if (port >= state_->ports.size()) return fail(EINVAL, "chain: no port " + std::to_string(port));
  const std::string where = "chain of port " + state_->ports[port].spec().name;
  if (chain.programs.size() > kMaxChainPrograms) {
    return fail(E2BIG, where + ": more than " + std::to_string(kMaxChainPrograms) + " programs");
  }
  const bool sends =
      chain.action.kind == ActionKind::forward || chain.action.kind == ActionKind::reflect;
  const uint32_t target = chain.action.kind == ActionKind::forward ? chain.action.port : port;
  if (target >= state_->ports.size())
    return fail(EINVAL, where + ": forward: no port " + std::to_string(target));
  if (sends && state_->ports[target].tx_queues() == 0) {
    return fail(EINVAL, where + ": port " + state_->ports[target].spec().name + " cannot transmit");
  }
  auto active = std::make_unique<ActiveChain>();
  active->before.resize(chain.programs.size());
  active->runs = std::vector<ChainRun>(state_->threads.size());
  for (uint32_t w = 0; w < active->runs.size(); w++) {
    active->runs[w].tx = state_->tx_for(port, chain.action, w);
    for (size_t p = 0; chain.changes_packets && p < state_->ports.size(); p++) {
      active->runs[w].out.push_back(state_->ports[p].tx_queues() == 0 ? nullptr
                                                                      : &state_->threads[w].tx[p]);
    }
  }
  active->chain = std::move(chain);
  state_->publish(port, std::move(active));
  return {};
}

void Dataplane::clear_chain(uint32_t port) {
  const std::lock_guard lock(state_->mutex);
  if (port < state_->ports.size()) state_->publish(port, nullptr);
}

uint64_t Dataplane::begin_grace() { return rte_rcu_qsbr_start(state_->rcu.get()); }

bool Dataplane::grace_over(uint64_t token) {
  return rte_rcu_qsbr_check(state_->rcu.get(), token, false) != 0;
}

Status Dataplane::State::start_thread(WorkerThread& thread) {
  const std::string where = "worker " + std::to_string(thread.worker->options().index);
  thread.registered.store(0, std::memory_order_relaxed);
  rte_rcu_qsbr_thread_register(rcu.get(), thread.worker->options().index);
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(thread.core, &cores);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setaffinity_np(&attributes, sizeof cores, &cores);
  const int result = pthread_create(&thread.thread, &attributes, run_worker, &thread);
  pthread_attr_destroy(&attributes);
  if (result != 0)
    return fail(errno_error(result, where + ": thread on core " + std::to_string(thread.core)));
  while (thread.registered.load(std::memory_order_acquire) == 0) usleep(kGracePollMicroseconds);
  if (thread.registered.load(std::memory_order_relaxed) > 0) return {};
  pthread_join(thread.thread, nullptr);
  return fail(ENOMEM, where + ": DPDK has no lcore id left");
}

Status Dataplane::start() {
  const std::lock_guard lock(state_->mutex);
  if (state_->running) return {};
  state_->stop = false;
  for (size_t i = 0; i < state_->threads.size(); i++) {
    auto status = state_->start_thread(state_->threads[i]);
    if (status) continue;
    state_->stop = true;
    for (size_t j = 0; j < i; j++) pthread_join(state_->threads[j].thread, nullptr);
    return status;
  }
  state_->running = true;
  return {};
}

void Dataplane::stop() {
  const std::lock_guard lock(state_->mutex);
  if (!state_->running) return;
  state_->stop = true;
  for (WorkerThread& thread : state_->threads) pthread_join(thread.thread, nullptr);
  state_->running = false;
}

uint32_t Dataplane::workers() const { return static_cast<uint32_t>(state_->threads.size()); }

bool Dataplane::take_trace(std::string& line) {
  for (WorkerThread& thread : state_->threads) {
    if (thread.trace->take(line)) return true;
  }
  return false;
}

namespace {

QueueSnapshot queue_snapshot(const QueueCounters& c, uint16_t queue, uint32_t worker) {
  return {.queue = queue,
          .worker = worker,
          .packets = read_counter(c.packets),
          .sent = read_counter(c.sent),
          .dropped_verdict = read_counter(c.dropped_verdict),
          .dropped_action = read_counter(c.dropped_action),
          .dropped_tx_full = read_counter(c.dropped_tx_full),
          .dropped_no_memory = read_counter(c.dropped_no_memory),
          .dropped_redirect = read_counter(c.dropped_redirect),
          .trimmed = read_counter(c.trimmed)};
}

PortSnapshot port_snapshot(const Port& port) {
  return {.name = port.spec().name,
          .device = port.spec().device,
          .driver = port.driver(),
          .mac = mac_text(port.mac()),
          .ifindex = port.spec().ifindex,
          .link_up = port.link_up(),
          .stats = port.stats(),
          .queues = {}};
}

WorkerSnapshot worker_snapshot(const WorkerThread& thread) {
  const WorkerCounters& c = thread.worker->counters();
  return {.worker = thread.worker->options().index,
          .core = thread.core,
          .iterations = read_counter(c.iterations),
          .bursts = read_counter(c.bursts),
          .packets = read_counter(c.packets),
          .sleeps = read_counter(c.sleeps),
          .trace_dropped = thread.trace->dropped(),
          .busy_seconds = seconds(read_counter(c.busy_cycles))};
}

ChainSnapshot chain_snapshot(uint32_t port, const ActiveChain& active) {
  ChainSnapshot snapshot{.port = port,
                         .action = active.chain.action,
                         .run_seconds = seconds(active.cycles()),
                         .programs = {}};
  for (size_t i = 0; i < active.chain.programs.size(); i++) {
    snapshot.programs.push_back({active.chain.programs[i], active.total(i)});
  }
  return snapshot;
}

}  // namespace

Snapshot Dataplane::snapshot() const {
  const std::lock_guard lock(state_->mutex);
  Snapshot snapshot;
  for (const Port& port : state_->ports) snapshot.ports.push_back(port_snapshot(port));
  for (const WorkerThread& thread : state_->threads)
    snapshot.workers.push_back(worker_snapshot(thread));
  // The queues in the order they were dealt out.
  size_t next = 0;
  for (PortSnapshot& port : snapshot.ports) {
    const uint16_t queues =
        state_->ports[static_cast<size_t>(&port - snapshot.ports.data())].spec().rx_queues;
    for (uint16_t q = 0; q < queues; q++, next++) {
      const size_t w = next % state_->threads.size();
      const WorkerQueue& queue = state_->threads[w].worker->queues()[next / state_->threads.size()];
      port.queues.push_back(queue_snapshot(queue.counters, q, static_cast<uint32_t>(w)));
    }
  }
  for (uint32_t p = 0; p < state_->chains.size(); p++) {
    if (state_->chains[p] != nullptr)
      snapshot.chains.push_back(chain_snapshot(p, *state_->chains[p]));
  }
  return snapshot;
}

}  // namespace sluice::dataplane
