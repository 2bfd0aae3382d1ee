#include "dataplane/replay.hpp"

#include <time.h>

#include "dataplane/capture_queue.hpp"
#include "dataplane/counters.hpp"
#include "dataplane/worker.hpp"

namespace sluice::dataplane {
namespace {

constexpr uint32_t kPollsPerLook = 32;  // bursts between two looks at clock and stop flag
constexpr double kProgressSeconds = 0.25;

double monotonic_seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// One replay: a worker with one queue, and the two captures at its ends.
class Run {
 public:
  Run(const ReplayRequest& request, CaptureWriter* writer)
      : request_(request), tx_(writer, nullptr), worker_(options(), queues()) {
    active_.chain = request.chain;
    active_.before.resize(request.chain.programs.size());
    active_.runs = std::vector<ChainRun>(1);
    active_.runs[0].tx = &tx_;
    active_.runs[0].out.assign(request.ports, &tx_);
    slot_.store(&active_, std::memory_order_release);
    last_progress_ = monotonic_seconds();
  }

  [[nodiscard]] bool ready() const { return rx_.ready(); }
  [[nodiscard]] bool write_failed() const { return tx_.write_failed(); }
  Status round(uint32_t number, CaptureReader& reader);
  [[nodiscard]] ReplayStats stats() const;

 private:
  static WorkerOptions options() { return {.index = 0, .idle_backoff = false, .rcu = nullptr}; }
  std::vector<WorkerQueue> queues() {
    std::vector<WorkerQueue> queues(1);
    queues[0].rx = &rx_;
    queues[0].chain = &slot_;
    queues[0].env.writer = 0;
    queues[0].env.ifindex = queues[0].env.ingress_ifindex = request_.ifindex;
    queues[0].env.trace = request_.trace;
    return queues;
  }
  void look(uint32_t round, const CaptureReader& reader);

  const ReplayRequest& request_;
  CaptureRxQueue rx_;
  CaptureTxQueue tx_;
  ActiveChain active_;
  ChainSlot slot_{nullptr};
  Worker worker_;
  uint64_t polls_ = 0;  // over all rounds, which may be short
  double last_progress_ = 0;
  double seconds_ = 0;
  bool stopped_ = false;
};

void Run::look(uint32_t round, const CaptureReader& reader) {
  if (request_.stop != nullptr && request_.stop->load(std::memory_order_relaxed)) stopped_ = true;
  if (!request_.progress) return;
  const double now = monotonic_seconds();
  if (now - last_progress_ < kProgressSeconds) return;
  last_progress_ = now;
  request_.progress({rx_.packets(), reader.read_bytes(), reader.file_bytes(), round});
}

Status Run::round(uint32_t number, CaptureReader& reader) {
  std::optional<CaptureReader> expected;
  if (request_.expect) {
    auto opened = CaptureReader::open(*request_.expect);
    if (!opened) return fail(std::move(opened.error()).in("expect"));
    expected.emplace(std::move(*opened));
    tx_.expect_again(*expected);
  }
  rx_.read_from(reader);
  const double start = monotonic_seconds();
  while (!rx_.finished() && !tx_.write_failed() && !stopped_) {
    worker_.run_once();
    if (++polls_ % kPollsPerLook == 0) look(number, reader);
  }
  seconds_ += monotonic_seconds() - start;
  if (rx_.failed()) return fail(reader.error());
  if (stopped_) {
    return fail(ECANCELED, "capture " + request_.capture + ": stopped after packet " +
                               std::to_string(rx_.packets()));
  }
  tx_.expect_end();
  if (tx_.expected_unreadable()) return fail(expected->error().in("expect"));
  return {};
}

ReplayStats Run::stats() const {
  ReplayStats stats;
  stats.packets = rx_.packets();
  stats.bytes = rx_.bytes();
  stats.captured_bytes = rx_.captured_bytes();
  stats.passed = tx_.packets();
  stats.passed_bytes = tx_.bytes();
  const QueueCounters& counters = worker_.queues()[0].counters;
  stats.dropped = counters.dropped_verdict + counters.dropped_redirect;
  stats.trimmed = counters.trimmed;
  stats.seconds = seconds_;
  for (size_t i = 0; i < active_.chain.programs.size(); i++) {
    stats.programs.push_back({active_.chain.programs[i], active_.total(i)});
  }
  stats.difference = tx_.difference();
  return stats;
}

Status check(const ReplayRequest& request) {
  if (request.loops == 0) return fail(EINVAL, "replay: loop 0 times");
  if (request.loops > 1 && request.capture == "-")
    return fail(EINVAL, "replay: standard input cannot be read twice");
  if (request.chain.programs.size() > kMaxChainPrograms) {
    return fail(E2BIG, "replay: more than " + std::to_string(kMaxChainPrograms) + " programs");
  }
  return {};
}

}  // namespace

Result<ReplayStats> replay(const ReplayRequest& request) {
  if (auto status = check(request); !status) return fail(std::move(status.error()));
  auto reader = CaptureReader::open(request.capture);
  if (!reader) return fail(std::move(reader.error()));
  std::optional<CaptureWriter> writer;
  if (request.write) {
    auto created =
        CaptureWriter::create(*request.write, {reader->snaplen(), reader->nanoseconds()});
    if (!created) return fail(std::move(created.error()));
    writer.emplace(std::move(*created));
  }
  const auto run = std::make_unique<Run>(request, writer ? &*writer : nullptr);
  if (!run->ready()) return fail(ENOMEM, "replay: memory for a burst of records");
  for (uint32_t round = 0; round < request.loops && !run->write_failed(); round++) {
    if (round > 0) {
      reader = CaptureReader::open(request.capture);
      if (!reader) return fail(std::move(reader.error()));
    }
    if (auto status = run->round(round, *reader); !status) return fail(std::move(status.error()));
  }
  if (writer) {
    if (auto status = writer->commit(); !status) return fail(std::move(status.error()));
  }
  return run->stats();
}

}  // namespace sluice::dataplane
