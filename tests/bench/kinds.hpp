// The kinds of benchmark that run in this process: one file each, one row of the table in
// sluice_bench.cpp.
#pragma once

#include <memory>

#include "bpf/surface/surface.hpp"
#include "tests/bench/measure.hpp"
#include "tests/bench/workshop.hpp"

namespace sluice::bench {

struct Bench {
  Effort effort;
  Workshop workshop;
  bpf::BpfSurface surface;
};

void bench_filter(Bench& bench);       // and filter_mbuf
void bench_program(Bench& bench);
void bench_hardening(Bench& bench);
void bench_counters(Bench& bench);
void bench_map_lookup(Bench& bench);   // and the bursts
void bench_map_update(Bench& bench);
void bench_load(Bench& bench);
void bench_verify(Bench& bench);

}  // namespace sluice::bench
