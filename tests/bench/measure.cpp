#include "tests/bench/measure.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace sluice::bench {
namespace {

constexpr int kRounds = 41;
constexpr double kRoundNs = 4e6;  // of each contestant

double timed(const Contestant& contestant, uint32_t passes) {
  const auto start = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < passes; i++) contestant.pass();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::vector<Timing> measure(const std::vector<Contestant>& contestants, uint32_t packets_a_pass) {
  std::vector<uint32_t> passes;
  std::vector<std::vector<double>> samples(contestants.size());
  for (const auto& contestant : contestants) {
    timed(contestant, 3);
    passes.push_back(std::max(1u, static_cast<uint32_t>(kRoundNs / timed(contestant, 1))));
  }
  for (int round = 0; round < kRounds; round++) {
    for (size_t i = 0; i < contestants.size(); i++) {
      samples[i].push_back(timed(contestants[i], passes[i]) / passes[i] / packets_a_pass);
    }
  }
  std::vector<Timing> timings;
  for (auto& sorted : samples) {
    std::sort(sorted.begin(), sorted.end());
    const double median = sorted[kRounds / 2];
    timings.push_back({median, (sorted[kRounds * 3 / 4] - sorted[kRounds / 4]) / 2 / median});
  }
  return timings;
}

void print(const Row& row) {
  std::printf("%-12s %-28s", row.kind.c_str(), row.name.c_str());
  for (size_t i = 0; i < row.timings.size(); i++) {
    std::printf("  %s %.2f ns (+-%.0f %%)", row.contestants[i].c_str(), row.timings[i].median,
                row.timings[i].spread * 100);
  }
  std::printf("\n");
  for (const auto& reason : row.absent) std::printf("%-12s   absent: %s\n", "", reason.c_str());
}

bool write_json(const std::string& path, const std::vector<Row>& rows) {
  std::FILE* out = std::fopen(path.c_str(), "w");
  if (out == nullptr) return false;
  std::fputs("[\n", out);
  for (size_t r = 0; r < rows.size(); r++) {
    const Row& row = rows[r];
    std::fprintf(out, "  {\"kind\": \"%s\", \"name\": \"%s\", \"unit\": \"ns/packet\", \"sluice\": %.3f, \"peers\": {",
                 row.kind.c_str(), row.name.c_str(), row.timings[0].median);
    for (size_t i = 1; i < row.timings.size(); i++) {
      std::fprintf(out, "%s\"%s\": %.3f", i == 1 ? "" : ", ", row.contestants[i].c_str(), row.timings[i].median);
    }
    std::fprintf(out, "}}%s\n", r + 1 == rows.size() ? "" : ",");
  }
  std::fputs("]\n", out);
  return std::fclose(out) == 0;
}

}  // namespace sluice::bench
