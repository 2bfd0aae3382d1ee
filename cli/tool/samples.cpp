#include "cli/tool/samples.hpp"

#include <time.h>

#include <algorithm>
#include <map>

namespace sluice::cli {
namespace {

double now_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

const Json& named(const Json& list, const char* key, const std::string& name) {
  static const Json none;
  const auto found = std::find_if(list.items().begin(), list.items().end(),
                                  [&](const Json& item) { return item[key].text() == name; });
  return found == list.items().end() ? none : *found;
}

// A counter that went back began anew: a reload.
double increase(double before, double after) { return after >= before ? after - before : after; }

// Differences of one object's members, a second.
class Rate {
 public:
  Rate(const Json& before, const Json& after, double seconds)
      : before_(before), after_(after), seconds_(seconds) {}
  double operator()(const char* member) const {
    return increase(before_[member].number(), after_[member].number()) / seconds_;
  }

 private:
  const Json& before_;
  const Json& after_;
  const double seconds_;
};

double elapsed(const Sample& before, const Sample& after) {
  return std::max(after.seconds - before.seconds, 1e-3);
}

}  // namespace

uint64_t dropped_packets(const Json& port) {
  uint64_t dropped = 0;
  for (const auto& queue : port["queues"].items()) {
    for (const char* why : {"dropped_verdict", "dropped_action", "dropped_tx_full",
                            "dropped_no_memory", "dropped_redirect"})
      dropped += queue[why].count();
  }
  return dropped;
}

Result<Sample> take_sample(Connection& connection) {
  Sample sample;
  for (auto [what, to] : {std::pair{"ports", &sample.ports},
                          {"workers", &sample.workers},
                          {"chains", &sample.chains}}) {
    auto answer = ask(connection, what);
    if (!answer) return fail(std::move(answer.error()));
    *to = std::move(*answer);
  }
  sample.seconds = now_seconds();
  return sample;
}

std::vector<PortRate> port_rates(const Sample& before, const Sample& after) {
  std::vector<PortRate> rates;
  const double seconds = elapsed(before, after);
  for (const auto& port : after.ports.items()) {
    const Json& old = named(before.ports, "name", port["name"].text());
    const Rate rate(old, port, seconds);
    const double dropped = increase(static_cast<double>(dropped_packets(old)),
                                    static_cast<double>(dropped_packets(port)));
    rates.push_back({port["name"].text(), rate("rx_packets"), rate("rx_bytes") * 8,
                     rate("tx_packets"), rate("tx_bytes") * 8,
                     rate("rx_missed") + rate("rx_no_buffer"), dropped / seconds});
  }
  return rates;
}

std::vector<WorkerRate> worker_rates(const Sample& before, const Sample& after) {
  std::vector<WorkerRate> rates;
  for (const auto& worker : after.workers.items()) {
    const Rate rate(named(before.workers, "worker", worker["worker"].text()), worker,
                    elapsed(before, after));
    rates.push_back({worker["worker"].text(), worker["core"].text(), rate("packets"),
                     rate("bursts"), rate("sleeps"), rate("busy_seconds")});
  }
  return rates;
}

std::vector<ProgramRate> program_rates(const Sample& before, const Sample& after) {
  std::vector<ProgramRate> rates;
  const double seconds = elapsed(before, after);
  for (const auto& chain : after.chains.items()) {
    const Json& old_chain = named(before.chains, "port", chain["port"].text());
    const double busy = Rate(old_chain, chain, seconds)("run_seconds");
    double packets = 0;  // of the chain: its first program sees all of them
    for (const auto& program : chain["programs"].items()) {
      const Rate rate(named(old_chain["programs"], "name", program["name"].text()), program,
                      seconds);
      const double run = rate("run");
      packets = std::max(packets, run);
      rates.push_back(
          {program["name"].text(), chain["port"].text(), run, rate("passed"),
           std::max(0.0, run - rate("passed") - rate("transmitted") - rate("redirected")),
           rate("trimmed"), packets > 0 ? busy * 1e9 / packets : 0, busy});
    }
  }
  return rates;
}

}  // namespace sluice::cli
