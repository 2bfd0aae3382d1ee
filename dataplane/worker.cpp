#include "dataplane/worker.hpp"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <time.h>

#include <algorithm>

#include "bpf/progs/chain_step.hpp"
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
  timespec pause{
      0, static_cast<long>(std::min(kFirstSleepNanoseconds << step, kLongestSleepNanoseconds))};
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
  rte_mbuf* views[kBurst];
  uint32_t kept = 0;
  bool empty = false;
  for (uint32_t i = 0; i < batch_.count; i++) {
    rte_mbuf* packet = batch_.packets[i];
    empty |= packet->pkt_len == 0;
    if (queue.clear_hash) packet->hash.rss = 0;
    rte_mbuf* view = packet->nb_segs == 1 ? packet : segments_.view(packet);
    if (view == nullptr) [[unlikely]] {
      queue.rx->drop(&packet, 1);
      count(queue.counters.dropped_no_memory);
      continue;
    }
    views[kept] = view;
    batch_.packets[kept++] = packet;
  }
  batch_.count = kept;
  void* const* packets = reinterpret_cast<void* const*>(views);
  if (empty) [[unlikely]] {
    run_singly(packets, active.chain, queue.env, run);
  } else {
    active.chain.burst->run(packets, kept, batch_.verdicts, &queue.env, run.counters);
  }
  if (segments_.used()) [[unlikely]] {
    if (active.chain.changes_packets) put_back(queue, views);
    segments_.reset();
  }
  count(run.cycles, rte_rdtsc() - start);
  finish(queue, run);
}

// A capture may hold records without a byte. Their kept length is 0 either way, so that the last
// program's count of passed packets has to tell whether they pass.
void Worker::run_singly(void* const* packets, const Chain& chain, bpf::RunEnv& env, ChainRun& run) {
  const size_t last = chain.programs.empty() ? 0 : chain.programs.size() - 1;
  for (uint32_t i = 0; i < batch_.count; i++) {
    const uint64_t passed = run.counters[last].passed;
    chain.burst->run(packets + i, 1, &batch_.verdicts[i], &env, run.counters);
    if (batch_.packets[i]->pkt_len == 0 && run.counters[last].passed != passed)
      batch_.verdicts[i] = UINT32_MAX;
  }
}

// What programs made of the copies of packets in several segments.
void Worker::put_back(WorkerQueue& queue, rte_mbuf* const* views) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < batch_.count; i++) {
    rte_mbuf* packet = batch_.packets[i];
    const uint32_t verdict = batch_.verdicts[i];
    if (views[i] != packet && verdict != 0 && !put_back_view(packet, views[i])) {
      queue.rx->drop(&packet, 1);
      count(queue.counters.dropped_no_memory);
      continue;
    }
    batch_.packets[kept] = packet;
    batch_.verdicts[kept++] = verdict;
  }
  batch_.count = kept;
}

// Verdicts into actions: the kept to the front, in order, trimmed; the others given back. Packets
// that a program sends to a port of its choice leave in runs for the same port.
void Worker::finish(WorkerQueue& queue, ChainRun& run) {
  rte_mbuf* dropped[kBurst];
  rte_mbuf* leaving[kBurst];
  uint32_t kept = 0;
  uint32_t drops = 0;
  uint32_t trimmed = 0;
  uint32_t leave = 0;
  uint32_t leave_to = 0;
  const auto flush = [&] {
    TxQueue* tx = leave_to <= run.out.size() ? run.out[leave_to - 1] : nullptr;
    send(queue, tx, leaving, leave, queue.counters.dropped_redirect);
    leave = 0;
  };
  for (uint32_t i = 0; i < batch_.count; i++) {
    rte_mbuf* packet = batch_.packets[i];
    const uint32_t verdict = batch_.verdicts[i];
    if (verdict == 0) {
      dropped[drops++] = packet;
      continue;
    }
    if ((verdict & bpf::kVerdictLength) < packet->pkt_len) {
      trim_packet(packet, verdict & bpf::kVerdictLength);
      trimmed++;
    }
    const uint32_t port = verdict >> bpf::kVerdictPortShift;
    if (port == 0 || port == bpf::kToAction) [[likely]] {
      batch_.packets[kept++] = packet;
      continue;
    }
    if (leave != 0 && port != leave_to) flush();
    leave_to = port;
    leaving[leave++] = packet;
  }
  if (leave != 0) flush();
  if (trimmed != 0) count(queue.counters.trimmed, trimmed);
  if (drops != 0) {
    queue.rx->drop(dropped, drops);
    count(queue.counters.dropped_verdict, drops);
  }
  if (kept != 0) send(queue, run.tx, batch_.packets, kept, queue.counters.dropped_action);
}

// not_there: what counts packets for which there is no queue.
void Worker::send(WorkerQueue& queue, TxQueue* tx, rte_mbuf** packets, uint32_t packet_count,
                  uint64_t& not_there) {
  const uint32_t sent = tx == nullptr ? 0 : tx->send(packets, packet_count);
  if (sent != 0) count(queue.counters.sent, sent);
  if (sent == packet_count) return;
  count(tx == nullptr ? not_there : queue.counters.dropped_tx_full, packet_count - sent);
  queue.rx->drop(packets + sent, packet_count - sent);
}

}  // namespace sluice::dataplane
