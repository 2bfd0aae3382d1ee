// `sluice status`, `port show`, `chain show`, `metrics`: the daemon's own words as tables.
#include <cstdio>

#include "base/table.hpp"
#include "cli/tool/interrupt.hpp"
#include "cli/tool/pins.hpp"
#include "cli/tool/samples.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

constexpr std::chrono::milliseconds kInterval{500};  // that the rates of `status` are of
constexpr double kNearFull = 0.8;                    // of a map's capacity

std::string duration(double seconds) {
  const auto whole = static_cast<uint64_t>(seconds);
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " min";
}

void print_table(const Rows& rows) { std::fputs(format_table(rows).c_str(), stdout); }
// Under a heading, and not where there are no rows below the titles.
void print_section(const char* heading, const Rows& rows) {
  if (rows.size() < 2) return;
  std::printf("\n%s\n", heading);
  print_table(rows);
}

const char* link_text(const Json& port) { return port["link_up"].text() == "true" ? "up" : "down"; }

void print_ports(const Json& ports) {
  Rows rows{{"port", "ifindex", "link", "driver", "rx packets", "tx packets", "missed", "dropped",
             "trimmed"}};
  for (const auto& port : ports.items()) {
    uint64_t trimmed = 0;
    for (const auto& queue : port["queues"].items()) trimmed += queue["trimmed"].count();
    rows.push_back({port["name"].text(), port["ifindex"].text(), link_text(port),
                    port["driver"].text(), port["rx_packets"].text(), port["tx_packets"].text(),
                    port["rx_missed"].text(), std::to_string(dropped_packets(port)),
                    std::to_string(trimmed)});
  }
  print_table(rows);
}

std::string nanoseconds_each(double seconds, uint64_t packets) {
  return packets == 0 ? "-" : fixed(seconds * 1e9 / static_cast<double>(packets), 1);
}

void print_chains(const Json& chains) {
  Rows rows{{"port", "program", "run", "passed", "dropped", "trimmed", "sent back", "redirected",
             "ns a packet", "action"}};
  for (const auto& chain : chains.items()) {
    const auto& programs = chain["programs"].items();
    const uint64_t packets = programs.empty() ? 0 : programs[0]["run"].count();
    // The chain is one compiled function: its time stands beside its first program.
    std::string cost = nanoseconds_each(chain["run_seconds"].number(), packets);
    if (programs.empty()) {
      rows.push_back(
          {chain["port"].text(), "-", "-", "-", "-", "-", "-", "-", "-", chain["action"].text()});
    }
    for (const auto& program : programs) {
      const uint64_t run = program["run"].count();
      uint64_t kept = 0;
      for (const char* how : {"passed", "transmitted", "redirected"}) kept += program[how].count();
      rows.push_back({chain["port"].text(), program["name"].text(), std::to_string(run),
                      program["passed"].text(), std::to_string(run - kept),
                      program["trimmed"].text(), program["transmitted"].text(),
                      program["redirected"].text(), std::exchange(cost, ""),
                      chain["action"].text()});
    }
  }
  print_table(rows);
}

// All that `status` shows.
struct Picture {
  Json daemon;
  Sample before;
  Sample now;
  std::vector<Json> tight;  // maps that are nearly full, or were
  std::vector<std::pair<const char*, uint64_t>> objects;
  std::string pin_directory;  // empty: none
};

// Arrays are always full, and an LRU map makes room.
bool fills(uint64_t type) {
  switch (type) {
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LPM_TRIE:
    case BPF_MAP_TYPE_HASH_OF_MAPS:
    case BPF_MAP_TYPE_QUEUE:
    case BPF_MAP_TYPE_STACK: return true;
    default: return false;
  }
}

double fill_of(const Json& map) {
  const double capacity = map["max_entries"].number();
  return capacity > 0 ? map["entries"].number() / capacity : 0;
}

// The objects that live in the daemon, counted through bpf(2) like any client would.
Status count_objects(Context& context, Picture* picture) {
  for (auto [kind, name] :
       {std::pair{Kind::prog, "programs"}, {Kind::map, "maps"}, {Kind::link, "links"}}) {
    uint32_t id = 0;
    uint64_t count = 0;
    int error = 0;
    while (next_id(kind, &id, &error)) count++;
    if (error != 0) return fail(errno_error(error, std::string("list ") + name));
    picture->objects.emplace_back(name, count);
  }
  uint64_t pins = 0;
  for (const auto& [object, paths] : find_pins(context.connection)) pins += paths.size();
  picture->objects.emplace_back("pins", pins);
  picture->pin_directory = context.connection.pin_directory();
  return {};
}

Result<Picture> take_picture(Context& context) {
  Picture picture;
  auto before = take_sample(context.connection);
  if (!before) return fail(std::move(before.error()));
  picture.before = std::move(*before);
  if (auto status = count_objects(context, &picture); !status) return fail(status.error());
  const auto maps = ask(context.connection, "maps");
  if (!maps) return fail(maps.error());
  for (const auto& map : maps->items()) {
    if (map["full_errors"].count() > 0 || (fills(map["type"].count()) && fill_of(map) >= kNearFull))
      picture.tight.push_back(map);
  }
  (void)pause_for(kInterval);
  auto now = take_sample(context.connection);
  if (!now) return fail(std::move(now.error()));
  picture.now = std::move(*now);
  auto daemon = ask(context.connection, "status");
  if (!daemon) return fail(std::move(daemon.error()));
  picture.daemon = std::move(*daemon);
  return picture;
}

void print_rates(const Picture& picture) {
  Rows ports{{"port", "link", "rx/s", "rx Mbit/s", "tx/s", "tx Mbit/s", "missed/s", "dropped/s",
              "missed", "dropped"}};
  const auto& now = picture.now.ports.items();
  const auto rates = port_rates(picture.before, picture.now);
  for (size_t i = 0; i < rates.size(); i++) {
    const PortRate& rate = rates[i];
    ports.push_back({rate.port, link_text(now[i]), fixed(rate.rx_packets, 0),
                     fixed(rate.rx_bits / 1e6, 1), fixed(rate.tx_packets, 0),
                     fixed(rate.tx_bits / 1e6, 1), fixed(rate.missed, 0), fixed(rate.dropped, 0),
                     now[i]["rx_missed"].text(), std::to_string(dropped_packets(now[i]))});
  }
  print_section("ports", ports);
  Rows workers{{"worker", "core", "busy %", "packets/s", "packets a burst", "sleeps/s"}};
  for (const auto& rate : worker_rates(picture.before, picture.now)) {
    workers.push_back({rate.worker, rate.core, fixed(rate.busy * 100, 1), fixed(rate.packets, 0),
                       rate.bursts > 0 ? fixed(rate.packets / rate.bursts, 1) : "-",
                       fixed(rate.sleeps, 0)});
  }
  print_section("workers", workers);
  Rows programs{{"program", "port", "run/s", "passed/s", "dropped/s", "chain ns", "chain cpu %"}};
  for (const auto& rate : program_rates(picture.before, picture.now)) {
    programs.push_back({rate.program, rate.port, fixed(rate.run, 0), fixed(rate.passed, 0),
                        fixed(rate.dropped, 0), fixed(rate.chain_nanoseconds, 1),
                        fixed(rate.chain_cpu * 100, 1)});
  }
  print_section("programs on ports", programs);
}

void print_picture(const Picture& picture) {
  const Json& daemon = picture.daemon;
  std::printf("sluice %s  pid %s  up %s  jit %s  %s\n", daemon["version"].text().c_str(),
              daemon["pid"].text().c_str(), duration(daemon["uptime_seconds"].number()).c_str(),
              daemon["jit"].text() == "true" ? "on" : "off",
              daemon["configuration"].text().c_str());
  const char* gap = "";
  for (const auto& [name, count] : picture.objects) {
    std::printf("%s%s %llu", gap, name, static_cast<unsigned long long>(count));
    gap = "  ";
  }
  if (!picture.pin_directory.empty()) std::printf(" in %s", picture.pin_directory.c_str());
  std::printf("\n");
  print_rates(picture);
  Rows maps{{"map", "id", "type", "entries", "capacity", "full %", "refused"}};
  for (const auto& map : picture.tight) {
    maps.push_back({map["name"].text(), map["id"].text(),
                    map_type_name(static_cast<uint32_t>(map["type"].count())),
                    map["entries"].text(), map["max_entries"].text(), fixed(fill_of(map) * 100, 1),
                    map["full_errors"].text()});
  }
  print_section("maps that are nearly full", maps);
}

template <class Items, class Write>
void write_list(JsonWriter& out, const char* name, const Items& items, const Write& write) {
  out.key(name);
  out.begin_array();
  for (const auto& item : items) write(item);
  out.end_array();
}

void write_numbers(JsonWriter& out, std::initializer_list<std::pair<const char*, double>> numbers) {
  for (const auto& [name, value] : numbers) {
    out.key(name);
    out.raw(fixed(value, 3));
  }
}

void write_rates(JsonWriter& out, const Picture& picture) {
  out.key("rates");
  out.begin_object();
  write_numbers(out, {{"seconds", picture.now.seconds - picture.before.seconds}});
  write_list(out, "ports", port_rates(picture.before, picture.now), [&](const PortRate& rate) {
    out.begin_object();
    out.member("port", rate.port);
    write_numbers(out, {{"rx_packets", rate.rx_packets},
                        {"rx_bits", rate.rx_bits},
                        {"tx_packets", rate.tx_packets},
                        {"tx_bits", rate.tx_bits},
                        {"missed", rate.missed},
                        {"dropped", rate.dropped}});
    out.end_object();
  });
  write_list(out, "workers", worker_rates(picture.before, picture.now),
             [&](const WorkerRate& rate) {
               out.begin_object();
               out.member("worker", rate.worker);
               write_numbers(out, {{"packets", rate.packets},
                                   {"bursts", rate.bursts},
                                   {"sleeps", rate.sleeps},
                                   {"busy", rate.busy}});
               out.end_object();
             });
  write_list(out, "programs", program_rates(picture.before, picture.now),
             [&](const ProgramRate& rate) {
               out.begin_object();
               out.member("program", rate.program);
               out.member("port", rate.port);
               write_numbers(out, {{"run", rate.run},
                                   {"passed", rate.passed},
                                   {"dropped", rate.dropped},
                                   {"trimmed", rate.trimmed}});
               out.end_object();
             });
  out.end_object();
}

void write_picture(JsonWriter& out, const Picture& picture) {
  out.begin_object();
  out.key("daemon");
  picture.daemon.write(out);
  out.key("objects");
  out.begin_object();
  for (const auto& [name, count] : picture.objects) out.member(name, count);
  out.end_object();
  out.member("pin_directory", picture.pin_directory);
  const auto as_it_is = [&](const Json& item) { item.write(out); };
  write_list(out, "ports", picture.now.ports.items(), as_it_is);
  write_list(out, "workers", picture.now.workers.items(), as_it_is);
  write_list(out, "chains", picture.now.chains.items(), as_it_is);
  write_list(out, "maps_near_full", picture.tight, as_it_is);
  write_rates(out, picture);
  out.end_object();
}

}  // namespace

Status status_show(Context& context, Words& words) {
  if (auto status = words.done(); !status) return status;
  const auto picture = take_picture(context);
  if (!picture) return fail(picture.error());
  if (context.plain()) return print_picture(*picture), Status{};
  return write_picture(context.json, *picture), Status{};
}

Status port_show(Context& context, Words& words) {
  return show_query(context, words, "ports", print_ports);
}
Status chain_show(Context& context, Words& words) {
  return show_query(context, words, "chains", print_chains);
}
Status metrics_show(Context& context, Words& words) {
  return show_query(context, words, "metrics",
                    [](const Json& text) { std::fputs(text.text().c_str(), stdout); });
}

}  // namespace sluice::cli
