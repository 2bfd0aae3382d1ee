// Kind `counters`: programs that only add to arrays, with a copy a worker; beside them the same
// code once a reader has made the maps shared, and code that knows of no copies. One worker, and
// two at once on threads of their own, each over its own packets.
#include <sched.h>
#include <sys/sysinfo.h>

#include <atomic>
#include <optional>
#include <thread>

#include "bpf/progs/annotated_program.hpp"
#include "tests/bench/kinds.hpp"
#include "tests/bench/program_rows.hpp"
#include "tests/bench/runner.hpp"

namespace sluice::bench {
namespace {

constexpr const char* kPrograms[] = {"protocol count", "size histogram", "VLAN filter"};
constexpr const char* kModes[] = {"sluice", "shared", "locked"};

constexpr uint32_t kPackets = 512;
constexpr uint32_t kFlows = 512;
constexpr uint32_t kPasses = 16;  // of each worker between two meetings of both

// A worker on a thread of its own, which does what it is given at the same time as the caller does
// the same.
class SecondWorker {
 public:
  SecondWorker() : thread_([this] { work(); }) {}
  ~SecondWorker() {
    stop_ = true;
    begun_++;
    thread_.join();
  }
  void run_beside(const std::function<void()>& other, const std::function<void()>& own) {
    other_ = &other;
    begun_++;
    own();
    while (done_.load() != begun_.load()) continue;
  }

 private:
  // DPDK has put the caller on one CPU, and with it the threads that it makes.
  void leave_the_callers_cpu() const {
    cpu_set_t others;
    CPU_ZERO(&others);
    for (int cpu = 0; cpu < ::get_nprocs(); cpu++) CPU_SET(cpu, &others);
    CPU_CLR(callers_cpu_, &others);
    if (::sched_setaffinity(0, sizeof others, &others) != 0) give_up("no second CPU");
  }

  void work() {
    leave_the_callers_cpu();
    for (uint64_t round = 1;; round++) {
      while (begun_.load() != round) continue;
      if (stop_) return;
      (*other_)();
      done_ = round;
    }
  }
  const int callers_cpu_ = ::sched_getcpu();
  const std::function<void()>* other_ = nullptr;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> begun_{0};
  std::atomic<uint64_t> done_{0};
  std::thread thread_;
};

// The program with maps of its own, as two workers run it.
struct Contender {
  bpf::LoadedProgram loaded;
  std::unique_ptr<Runner> workers[2];
};

Contender contender_of(Bench& bench, const ProgramRow& row, std::string_view mode,
                       const std::string& object, const Traffic (&traffic)[2]) {
  Contender made;
  std::string why;
  made.loaded = load_row(bench, object, row, traffic[0], &why);
  if (!why.empty()) give_up(why);
  auto program = std::make_shared<bpf::AnnotatedProgram>(*made.loaded.program);
  if (mode == "locked") program->added.clear();
  for (uint32_t w = 0; w < 2; w++) {
    auto runner = Runner::make(program, bpf::kLinearLayout, traffic[w].packets, w);
    if (!runner) give_up(std::string(row.name) + ": " + runner.error().text);
    made.workers[w] = std::move(*runner);
  }
  if (mode == "sluice") return made;
  for (const auto& [name, map] : made.loaded.maps)
    map->admit(std::nullopt);  // as a reader's load does
  return made;
}

// One pass of both workers; all contenders must come to the same.
void compare(const ProgramRow& row, const std::vector<Contender>& contenders) {
  std::map<std::string, Contents> expected;
  for (const Contender& contender : contenders) {
    std::vector<uint32_t> verdicts(kPackets);
    for (const auto& worker : contender.workers) worker->run(verdicts.data());
    std::map<std::string, Contents> found;
    for (const char* map : row.compared) found[map] = contents_of(*contender.loaded.maps.at(map));
    if (expected.empty()) expected = found;
    if (found != expected) give_up(std::string(row.name) + ": the contestants' counts differ");
  }
}

void measure_row(Bench& bench, const ProgramRow& row, const Traffic (&traffic)[2]) {
  const auto object = bench.workshop.bpf_object(row.source, "");
  if (!object) give_up(object.error().text);
  std::vector<Contender> contenders;
  for (const char* mode : kModes)
    contenders.push_back(contender_of(bench, row, mode, *object, traffic));
  compare(row, contenders);
  std::vector<uint32_t> verdicts[2] = {std::vector<uint32_t>(kPackets),
                                       std::vector<uint32_t>(kPackets)};
  std::vector<Contestant> alone, together;
  std::optional<SecondWorker> second;
  if (::get_nprocs() > 1) second.emplace();
  for (size_t i = 0; i < contenders.size(); i++) {
    const auto run = [&, i](uint32_t worker) {
      return [&, i, worker] {
        for (uint32_t pass = 0; pass < kPasses; pass++)
          contenders[i].workers[worker]->run(verdicts[worker].data());
      };
    };
    alone.push_back(timed(kModes[i], bench.effort, kPasses * kPackets, run(0)));
    together.push_back(
        timed(kModes[i], bench.effort, kPasses * kPackets,
              [&second, other = std::function<void()>(run(1)),
               own = std::function<void()>(run(0))] { second->run_beside(other, own); }));
  }
  report({"counters",
          std::string(row.name) + ", one worker",
          "ns/packet",
          measure(bench.effort, alone),
          {},
          "one worker"});
  if (!second) {
    return report_missing("counters", std::string(row.name) + ", two workers", "one CPU");
  }
  report({"counters",
          std::string(row.name) + ", two workers",
          "ns/packet",
          measure(bench.effort, together),
          {},
          "two workers"});
}

}  // namespace

void bench_counters(Bench& bench) {
  const Traffic traffic[] = {Traffic(kPackets, kFlows), Traffic(kPackets, kFlows)};
  for (const ProgramRow& row : program_rows()) {
    for (const char* name : kPrograms) {
      if (row.name == std::string_view(name)) measure_row(bench, row, traffic);
    }
  }
}

}  // namespace sluice::bench
