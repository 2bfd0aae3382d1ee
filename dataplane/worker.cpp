#include "dataplane/worker.hpp"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <time.h>

#include <algorithm>

#include "dataplane/counters.hpp"

namespace sluice::dataplane {
namespace {

constexpr uint32_t kSpinRounds = 256;           // empty rounds before the first sleep
constexpr uint32_t kFirstSleepNanoseconds = 10'000;
constexpr uint32_t kLongestSleepNanoseconds = 1'000'000;
constexpr uint32_t kRoundsPerStep = 16;         // sleeps before the next, twice as long

uint64_t monotonic_milliseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace

Worker::Worker(const WorkerOptions& options, std::vector<WorkerQueue> queues)
    : options_(options), queues_(std::move(queues)) {}

uint32_t Worker::run_once() {
  uint32_t packets = 0;
  for (WorkerQueue& queue : queues_) packets += poll(queue);
  count(counters_.iterations);
  quiesce();
  return packets;
}

void Worker::run(const std::atomic<bool>& stop, unsigned drain_milliseconds) {
  if (options_.rcu != nullptr) rte_rcu_qsbr_thread_online(options_.rcu, options_.index);
  uint32_t empty_rounds = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    if (run_once() != 0) {
      empty_rounds = 0;
    } else {
      idle(empty_rounds++);
    }
  }
  const uint64_t end = monotonic_milliseconds() + drain_milliseconds;
  while (run_once() != 0 && monotonic_milliseconds() < end) {
  }
  if (options_.rcu != nullptr) rte_rcu_qsbr_thread_offline(options_.rcu, options_.index);
}

void Worker::quiesce() {
  if (options_.rcu != nullptr) rte_rcu_qsbr_quiescent(options_.rcu, options_.index);
}

void Worker::idle(uint32_t empty_rounds) {
  if (!options_.idle_backoff || empty_rounds < kSpinRounds) {
    rte_pause();
    return;
  }
  const uint32_t step = std::min((empty_rounds - kSpinRounds) / kRoundsPerStep, 10u);
  timespec pause{0, static_cast<long>(std::min(kFirstSleepNanoseconds << step, kLongestSleepNanoseconds))};
  count(counters_.sleeps);
  nanosleep(&pause, nullptr);
}

uint32_t Worker::poll(WorkerQueue& queue) {
  const uint32_t packets = queue.rx->poll(batch_);
  if (packets == 0) return 0;
  const uint64_t start = rte_rdtsc();
  ActiveChain* active = queue.chain->load(std::memory_order_acquire);
  if (active == nullptr) {
    queue.rx->drop(batch_.packets, packets);
    count(queue.counters.dropped_action, packets);
  } else {
    process(queue, *active);
  }
  count(queue.counters.packets, packets);
  count(counters_.bursts);
  count(counters_.packets, packets);
  count(counters_.busy_cycles, rte_rdtsc() - start);
  return packets;
}

void Worker::process(WorkerQueue& queue, ActiveChain& active) {
  ChainRun& run = active.runs[options_.index];
  if (active.chain.burst == nullptr) {
    for (uint32_t i = 0; i < batch_.count; i++) batch_.verdicts[i] = UINT32_MAX;
    finish(queue, run);
    return;
  }
  const uint64_t start = rte_rdtsc();
  const void* views[kBurst];
  uint32_t kept = 0;
  bool empty = false;
  for (uint32_t i = 0; i < batch_.count; i++) {
    rte_mbuf* packet = batch_.packets[i];
    empty |= packet->pkt_len == 0;
    if (queue.clear_hash) packet->hash.rss = 0;
    const rte_mbuf* view = packet->nb_segs == 1 ? packet : segments_.view(packet);
    if (view == nullptr) [[unlikely]] {
      queue.rx->drop(&packet, 1);
      count(queue.counters.dropped_no_memory);
      continue;
    }
    views[kept] = view;
    batch_.packets[kept++] = packet;
  }
  batch_.count = kept;
  // The views stand for const packets: programs of the types we run do not write to them.
  void* const* packets = const_cast<void* const*>(views);
  if (empty) [[unlikely]] {
    run_singly(packets, active.chain, queue.env, run);
  } else {
    active.chain.burst->run(packets, kept, batch_.verdicts, &queue.env, run.counters);
  }
  segments_.reset();
  count(run.cycles, rte_rdtsc() - start);
  finish(queue, run);
}

// A capture may hold records without a byte. Their kept length is 0 either way, so that the last program's count of
// passed packets has to tell whether they pass.
void Worker::run_singly(void* const* packets, const Chain& chain, bpf::RunEnv& env, ChainRun& run) {
  const size_t last = chain.programs.empty() ? 0 : chain.programs.size() - 1;
  for (uint32_t i = 0; i < batch_.count; i++) {
    const uint64_t passed = run.counters[last].passed;
    chain.burst->run(packets + i, 1, &batch_.verdicts[i], &env, run.counters);
    if (batch_.packets[i]->pkt_len == 0 && run.counters[last].passed != passed) batch_.verdicts[i] = UINT32_MAX;
  }
}

// Verdicts into actions: the kept to the front, in order, trimmed; the others given back.
void Worker::finish(WorkerQueue& queue, ChainRun& run) {
  rte_mbuf* dropped[kBurst];
  uint32_t kept = 0;
  uint32_t drops = 0;
  uint32_t trimmed = 0;
  for (uint32_t i = 0; i < batch_.count; i++) {
    rte_mbuf* packet = batch_.packets[i];
    const uint32_t verdict = batch_.verdicts[i];
    if (verdict == 0) {
      dropped[drops++] = packet;
      continue;
    }
    if (verdict < packet->pkt_len) {
      trim_packet(packet, verdict);
      trimmed++;
    }
    batch_.packets[kept++] = packet;
  }
  if (trimmed != 0) count(queue.counters.trimmed, trimmed);
  if (drops != 0) {
    queue.rx->drop(dropped, drops);
    count(queue.counters.dropped_verdict, drops);
  }
  if (kept == 0) return;
  const uint32_t sent = run.tx == nullptr ? 0 : run.tx->send(batch_.packets, kept);
  if (sent != 0) count(queue.counters.sent, sent);
  if (sent == kept) return;
  count(run.tx == nullptr ? queue.counters.dropped_action : queue.counters.dropped_tx_full, kept - sent);
  queue.rx->drop(batch_.packets + sent, kept - sent);
}

}  // namespace sluice::dataplane
