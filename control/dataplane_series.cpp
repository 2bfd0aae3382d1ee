#include "control/families.hpp"

namespace sluice::control {

namespace {

double number(uint64_t value) { return static_cast<double>(value); }

void add_port(Families& families, const dataplane::PortSnapshot& port) {
  const Labels labels{{"port", port.name}};
  const auto& stats = port.stats;
  families.gauge("sluice_port_info", "A port; always 1.",
                 {{"port", port.name},
                  {"device", port.device},
                  {"driver", port.driver},
                  {"mac", port.mac},
                  {"ifindex", std::to_string(port.ifindex)}},
                 1);
  families.gauge("sluice_port_link_up", "Whether the port's link is up.", labels,
                 port.link_up ? 1 : 0);
  families.counter("sluice_port_receive_packets_total", "Packets received.", labels,
                   number(stats.rx_packets));
  families.counter("sluice_port_receive_bytes_total", "Bytes received.", labels,
                   number(stats.rx_bytes));
  families.counter("sluice_port_receive_missed_total",
                   "Packets the device dropped for want of room in its queue.", labels,
                   number(stats.rx_missed));
  families.counter("sluice_port_receive_errors_total", "Packets received with errors.", labels,
                   number(stats.rx_errors));
  families.counter("sluice_port_receive_no_buffer_total", "Receive buffers that could not be had.",
                   labels, number(stats.rx_no_buffer));
  families.counter("sluice_port_transmit_packets_total", "Packets transmitted.", labels,
                   number(stats.tx_packets));
  families.counter("sluice_port_transmit_bytes_total", "Bytes transmitted.", labels,
                   number(stats.tx_bytes));
  families.counter("sluice_port_transmit_errors_total", "Packets that failed to be transmitted.",
                   labels, number(stats.tx_errors));
}

void add_queue(Families& families, const std::string& port, const dataplane::QueueSnapshot& queue) {
  const Labels labels{{"port", port}, {"queue", std::to_string(queue.queue)}};
  const auto dropped = [&](const char* reason, uint64_t value) {
    Labels with_reason = labels;
    with_reason.emplace_back("reason", reason);
    families.counter("sluice_queue_dropped_total",
                     "Packets of a receive queue that went no further, by reason.",
                     std::move(with_reason), number(value));
  };
  families.gauge("sluice_queue_worker_info", "Which worker polls a receive queue; always 1.",
                 {{"port", port},
                  {"queue", std::to_string(queue.queue)},
                  {"worker", std::to_string(queue.worker)}},
                 1);
  families.counter("sluice_queue_packets_total", "Packets taken from a receive queue.", labels,
                   number(queue.packets));
  families.counter("sluice_queue_sent_total",
                   "Packets of a receive queue that were handed to a transmit queue.", labels,
                   number(queue.sent));
  families.counter("sluice_queue_trimmed_total", "Packets that passed, shortened by a verdict.",
                   labels, number(queue.trimmed));
  dropped("verdict", queue.dropped_verdict);
  dropped("action", queue.dropped_action);
  dropped("transmit_full", queue.dropped_tx_full);
  dropped("no_memory", queue.dropped_no_memory);
  dropped("redirect", queue.dropped_redirect);
}

void add_worker(Families& families, const dataplane::WorkerSnapshot& worker) {
  const Labels labels{{"worker", std::to_string(worker.worker)}};
  families.gauge("sluice_worker_info", "A worker and its core; always 1.",
                 {{"worker", std::to_string(worker.worker)}, {"core", std::to_string(worker.core)}},
                 1);
  families.counter("sluice_worker_packets_total", "Packets a worker has processed.", labels,
                   number(worker.packets));
  families.counter("sluice_worker_bursts_total", "Polls that brought packets.", labels,
                   number(worker.bursts));
  families.counter("sluice_worker_iterations_total", "Rounds over the worker's queues.", labels,
                   number(worker.iterations));
  families.counter("sluice_worker_sleeps_total", "Times a worker slept because nothing came.",
                   labels, number(worker.sleeps));
  families.counter("sluice_worker_busy_seconds_total",
                   "Time a worker spent on bursts that brought packets.", labels,
                   worker.busy_seconds);
  families.counter("sluice_worker_trace_dropped_total",
                   "Lines of bpf_trace_printk dropped for want of room.", labels,
                   number(worker.trace_dropped));
}

}  // namespace

void add_program_counters(Families& families, const std::string& port, const std::string& program,
                          const bpf::ProgramCounters& counters) {
  const Labels labels{{"port", port}, {"program", program}};
  families.counter("sluice_program_run_total", "Packets a program saw.", labels,
                   number(counters.run));
  families.counter("sluice_program_passed_total", "Packets a program kept.", labels,
                   number(counters.passed));
  families.counter("sluice_program_dropped_total", "Packets a program dropped.", labels,
                   number(counters.dropped()));
  families.counter("sluice_program_trimmed_total", "Packets a program kept a part of.", labels,
                   number(counters.trimmed));
  families.counter("sluice_program_transmitted_total", "Packets a program sent back to their port.",
                   labels, number(counters.transmitted));
  families.counter("sluice_program_redirected_total",
                   "Packets a program sent to a port of its choice.", labels,
                   number(counters.redirected));
}

void add_dataplane_series(Families& families, const dataplane::Snapshot& snapshot) {
  for (const auto& port : snapshot.ports) {
    add_port(families, port);
    for (const auto& queue : port.queues) add_queue(families, port.name, queue);
  }
  for (const auto& worker : snapshot.workers) add_worker(families, worker);
  for (const auto& chain : snapshot.chains) {
    const auto& port = snapshot.ports[chain.port];
    uint64_t packets = 0;
    uint64_t dropped = 0;
    for (const auto& queue : port.queues) {
      packets += queue.packets;
      dropped += queue.dropped_verdict;
    }
    const Labels labels{{"port", port.name}};
    families.counter("sluice_chain_packets_total", "Packets a port's chain saw.", labels,
                     number(packets));
    families.counter("sluice_chain_dropped_total", "Packets a port's chain dropped.", labels,
                     number(dropped));
    families.counter("sluice_chain_run_seconds_total", "Time spent in a chain's programs.", labels,
                     chain.run_seconds);
    for (const auto& program : chain.programs) {
      add_program_counters(families, port.name, program.name, program.counters);
    }
  }
}

}  // namespace sluice::control
