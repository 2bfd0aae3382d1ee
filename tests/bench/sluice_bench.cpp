// The benchmarks that run in one process: sluice_bench [--full] KIND... Rows go to standard output
// as lines of JSON; run.py starts this, shows the table and writes bench.json.
#include <rte_eal.h>
#include <rte_memory.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <iterator>

#include "tests/bench/kinds.hpp"

namespace sluice::bench {
namespace {

struct Kind {
  const char* name;
  void (*run)(Bench& bench);
};
constexpr Kind kKinds[] = {
    {"filter", bench_filter},         {"program", bench_program},  {"map_lookup", bench_map_lookup},
    {"map_update", bench_map_update}, {"load", bench_load},        {"verify", bench_verify},
    {"hardening", bench_hardening},   {"counters", bench_counters}};

// DPDK's peers get the huge pages that sluice's maps have, without which their tables would be at a
// disadvantage.
int advise_huge(const rte_memseg_list* list, void*) {
  (void)madvise(list->base_va, list->len, MADV_HUGEPAGE);
  return 0;
}

void start_dpdk(bool full) {
  const char* eal[] = {"sluice_bench",
                       "--no-huge",
                       "--no-shconf",
                       "--no-pci",
                       "--no-telemetry",
                       "-m",
                       full ? "4096" : "1024",
                       "--log-level=error",
                       "--file-prefix=sluice_bench",
                       "-l",
                       "0"};
  if (rte_eal_init(static_cast<int>(std::size(eal)), const_cast<char**>(eal)) < 0)
    give_up("rte_eal_init failed");
  rte_memseg_list_walk(advise_huge, nullptr);
}

int run(int count, char** arguments) {
  const bool full = count > 1 && std::strcmp(arguments[1], "--full") == 0;
  Bench bench{full ? kFull : kQuick, {}, bpf::BpfSurface({.compile = bpf::jit::make_program})};
  start_dpdk(full);
  for (int i = full ? 2 : 1; i < count; i++) {
    const Kind* found = nullptr;
    for (const Kind& kind : kKinds) {
      if (std::strcmp(kind.name, arguments[i]) == 0) found = &kind;
    }
    if (found == nullptr) give_up(std::string("no kind ") + arguments[i]);
    found->run(bench);
  }
  rte_eal_cleanup();
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) { return sluice::bench::run(count, arguments); }
