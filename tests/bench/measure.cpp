#include "tests/bench/measure.hpp"

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace sluice::bench {
namespace {

// Of this thread, so that a machine's other work is not counted.
double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double elapsed_ns(const std::function<void()>& work, uint32_t passes) {
  const double start = cpu_ns();
  for (uint32_t i = 0; i < passes; i++) work();
  return cpu_ns() - start;
}

std::string json_text(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += c >= 0 && c < 0x20 ? ' ' : c;
  }
  return json + "\"";
}

}  // namespace

Contestant timed(std::string name, const Effort& effort, double operations,
                 std::function<void()> pass) {
  for (int i = 0; i < 2; i++) pass();
  const auto passes = static_cast<uint32_t>(std::max(1.0, effort.round_ns / elapsed_ns(pass, 1)));
  return {std::move(name), [pass = std::move(pass), passes, operations] {
            return elapsed_ns(pass, passes) / passes / operations;
          }};
}

Contestant prepared(std::string name, double operations, std::function<void()> prepare,
                    std::function<void()> pass) {
  return {std::move(name), [prepare = std::move(prepare), pass = std::move(pass), operations] {
            prepare();
            return elapsed_ns(pass, 1) / operations;
          }};
}

const Value* Row::find(const std::string& contestant) const {
  for (const auto& value : values) {
    if (value.name == contestant) return &value;
  }
  return nullptr;
}

std::vector<Value> measure(const Effort& effort, const std::vector<Contestant>& contestants) {
  std::vector<std::vector<double>> samples(contestants.size());
  for (int round = 0; round < effort.rounds; round++) {
    for (size_t i = 0; i < contestants.size(); i++) samples[i].push_back(contestants[i].round());
  }
  std::vector<Value> values;
  for (size_t i = 0; i < contestants.size(); i++) {
    auto& sorted = samples[i];
    std::sort(sorted.begin(), sorted.end());
    const double median = sorted[sorted.size() / 2];
    const double quartiles = sorted[sorted.size() * 3 / 4] - sorted[sorted.size() / 4];
    values.push_back({contestants[i].name, median, median > 0 ? quartiles / 2 / median : 0});
  }
  return values;
}

void report(const Row& row) {
  std::printf("{\"kind\": %s, \"name\": %s, \"unit\": %s, \"group\": %s, \"values\": {",
              json_text(row.kind).c_str(), json_text(row.name).c_str(), json_text(row.unit).c_str(),
              json_text(row.group).c_str());
  for (size_t i = 0; i < row.values.size(); i++) {
    std::printf("%s%s: [%.4f, %.4f]", i == 0 ? "" : ", ", json_text(row.values[i].name).c_str(),
                row.values[i].median, row.values[i].spread);
  }
  std::printf("}, \"absent\": [");
  for (size_t i = 0; i < row.absent.size(); i++) {
    std::printf("%s%s", i == 0 ? "" : ", ", json_text(row.absent[i]).c_str());
  }
  std::printf("]}\n");
  std::fflush(stdout);
}

void report_missing(const std::string& kind, const std::string& name, const std::string& why) {
  report({kind, name, "", {}, {"sluice: " + why}, ""});
}

void give_up(const std::string& why) {
  std::fprintf(stderr, "sluice_bench: %s\n", why.c_str());
  std::exit(1);
}

}  // namespace sluice::bench
