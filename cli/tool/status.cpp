// `sluice status`, `port show`, `chain show`, `metrics`: the daemon's own words as tables.
#include <cstdio>

#include "base/table.hpp"
#include "cli/tool/daemon_text.hpp"
#include "cli/tool/objects.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

std::string duration(double seconds) {
  const auto whole = static_cast<uint64_t>(seconds);
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " min";
}

void print_table(const Rows& rows) { std::fputs(format_table(rows).c_str(), stdout); }

void print_ports(const Json& ports) {
  Rows rows{{"port", "ifindex", "link", "driver", "rx packets", "tx packets", "missed", "dropped", "trimmed"}};
  for (const auto& port : ports.items()) {
    uint64_t dropped = 0;
    uint64_t trimmed = 0;
    for (const auto& queue : port["queues"].items()) {
      for (const char* why : {"dropped_verdict", "dropped_action", "dropped_tx_full", "dropped_no_memory"})
        dropped += queue[why].count();
      trimmed += queue["trimmed"].count();
    }
    rows.push_back({port["name"].text(), port["ifindex"].text(), port["link_up"].text() == "true" ? "up" : "down",
                    port["driver"].text(), port["rx_packets"].text(), port["tx_packets"].text(),
                    port["rx_missed"].text(), std::to_string(dropped), std::to_string(trimmed)});
  }
  print_table(rows);
}

std::string nanoseconds_each(double seconds, uint64_t packets) {
  return packets == 0 ? "-" : fixed(seconds * 1e9 / static_cast<double>(packets), 1);
}

void print_chains(const Json& chains) {
  Rows rows{{"port", "program", "run", "passed", "dropped", "trimmed", "ns a packet", "action"}};
  for (const auto& chain : chains.items()) {
    const auto& programs = chain["programs"].items();
    const uint64_t packets = programs.empty() ? 0 : programs[0]["run"].count();
    // The chain is one compiled function: its time stands beside its first program.
    std::string cost = nanoseconds_each(chain["run_seconds"].number(), packets);
    if (programs.empty()) rows.push_back({chain["port"].text(), "-", "-", "-", "-", "-", "-", chain["action"].text()});
    for (const auto& program : programs) {
      const uint64_t run = program["run"].count();
      const uint64_t passed = program["passed"].count();
      rows.push_back({chain["port"].text(), program["name"].text(), std::to_string(run), std::to_string(passed),
                      std::to_string(run - passed), program["trimmed"].text(), std::exchange(cost, ""),
                      chain["action"].text()});
    }
  }
  print_table(rows);
}

using Counts = std::vector<std::pair<const char*, uint32_t>>;

void print_status(const Json& status, const Counts& objects) {
  Rows rows{{"version", status["version"].text()},
            {"pid", status["pid"].text()},
            {"configuration", status["configuration"].text()},
            {"uptime", duration(status["uptime_seconds"].number())},
            {"jit", status["jit"].text() == "true" ? "on" : "off"}};
  for (const char* what : {"ports", "workers", "chains"}) rows.push_back({what, status[what].text()});
  for (const auto& [name, count] : objects) rows.push_back({name, std::to_string(count)});
  print_table(rows);
}

// The objects that live in the daemon, counted through bpf(2) like any client would.
Status count_objects(Counts* counts) {
  for (auto [kind, name] : {std::pair{Kind::prog, "programs"}, {Kind::map, "maps"}, {Kind::link, "links"}}) {
    uint32_t id = 0;
    uint32_t count = 0;
    int error = 0;
    while (next_id(kind, &id, &error)) count++;
    if (error != 0) return fail(errno_error(error, std::string("list ") + name));
    counts->emplace_back(name, count);
  }
  return {};
}

}  // namespace

Status status_show(Context& context, Words& words) {
  if (auto status = words.done(); !status) return status;
  Counts counts;
  if (auto status = count_objects(&counts); !status) return status;
  std::vector<Json> answers;
  for (const char* what : {"status", "ports", "chains"}) {
    const auto text = context.connection.query(what);
    if (!text) return fail(text.error());
    auto json = Json::parse(*text);
    if (!json) return fail(std::move(json.error()));
    answers.push_back(std::move(*json));
  }
  if (!context.plain()) {
    context.json.begin_object();
    const char* names[] = {"daemon", "ports", "chains"};
    for (size_t i = 0; i < answers.size(); i++) {
      context.json.key(names[i]);
      answers[i].write(context.json);
    }
    context.json.key("objects");
    context.json.begin_object();
    for (const auto& [name, count] : counts) context.json.member(name, count);
    context.json.end_object();
    context.json.end_object();
    return {};
  }
  print_status(answers[0], counts);
  if (!answers[1].items().empty()) std::printf("\n"), print_ports(answers[1]);
  if (!answers[2].items().empty()) std::printf("\n"), print_chains(answers[2]);
  return {};
}

Status port_show(Context& context, Words& words) { return show_query(context, words, "ports", print_ports); }
Status chain_show(Context& context, Words& words) { return show_query(context, words, "chains", print_chains); }
Status metrics_show(Context& context, Words& words) {
  return show_query(context, words, "metrics", [](const Json& text) { std::fputs(text.text().c_str(), stdout); });
}

}  // namespace sluice::cli
