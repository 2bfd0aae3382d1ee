// `sluice top`: programs by what they cost and decide, again and again on a terminal, once into a pipe.
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>

#include "base/table.hpp"
#include "cli/tool/daemon_text.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

struct Row {
  std::string port;
  std::string program;
  double run = 0;  // all of these a second
  double passed = 0;
  double trimmed = 0;
  double cpu = 0;          // of one core; the chain's, which is one compiled function
  double nanoseconds = 0;  // a packet, the chain's
};

struct Counters {
  uint64_t run = 0;
  uint64_t passed = 0;
  uint64_t trimmed = 0;
  double chain_seconds = 0;
};
using Sample = std::map<std::pair<std::string, std::string>, Counters>;

double now_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

Result<Sample> take_sample(Connection& connection) {
  const auto text = connection.query("chains");
  if (!text) return fail(text.error());
  const auto chains = Json::parse(*text);
  if (!chains) return fail(chains.error());
  Sample sample;
  for (const auto& chain : chains->items()) {
    for (const auto& program : chain["programs"].items()) {
      sample[{chain["port"].text(), program["name"].text()}] = {
          program["run"].count(), program["passed"].count(), program["trimmed"].count(), chain["run_seconds"].number()};
    }
  }
  return sample;
}

// A counter that went back began anew: a reload.
uint64_t increase(uint64_t before, uint64_t after) { return after >= before ? after - before : after; }

std::vector<Row> make_rows(const Sample& before, const Sample& after, double seconds) {
  std::vector<Row> rows;
  std::map<std::string, uint64_t> chain_packets;
  for (const auto& [place, counters] : after) {
    const auto found = before.find(place);
    const Counters old = found == before.end() ? Counters{} : found->second;
    const uint64_t run = increase(old.run, counters.run);
    chain_packets[place.first] = std::max(chain_packets[place.first], run);
    const double busy = counters.chain_seconds >= old.chain_seconds ? counters.chain_seconds - old.chain_seconds
                                                                    : counters.chain_seconds;
    rows.push_back({place.first, place.second, static_cast<double>(run) / seconds,
                    static_cast<double>(increase(old.passed, counters.passed)) / seconds,
                    static_cast<double>(increase(old.trimmed, counters.trimmed)) / seconds, busy / seconds, busy});
  }
  for (auto& row : rows) {
    const auto packets = static_cast<double>(chain_packets[row.port]);
    row.nanoseconds = packets > 0 ? row.nanoseconds * 1e9 / packets : 0;
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.cpu != b.cpu ? a.cpu > b.cpu : a.run > b.run; });
  return rows;
}

std::string rate(double value) { return fixed(value, 0); }

void print_rows(const std::vector<Row>& rows) {
  Rows table{{"program", "port", "run/s", "passed/s", "dropped/s", "trimmed/s", "chain ns", "chain cpu %"}};
  for (const auto& row : rows) {
    table.push_back({row.program, row.port, rate(row.run), rate(row.passed), rate(row.run - row.passed),
                     rate(row.trimmed), fixed(row.nanoseconds, 1), fixed(row.cpu * 100, 1)});
  }
  std::fputs(format_table(table).c_str(), stdout);
}

void write_rows(JsonWriter& out, const std::vector<Row>& rows) {
  out.begin_array();
  for (const auto& row : rows) {
    out.begin_object();
    out.member("program", row.program);
    out.member("port", row.port);
    const std::pair<const char*, double> rates[] = {{"run_per_second", row.run},
                                                    {"passed_per_second", row.passed},
                                                    {"dropped_per_second", row.run - row.passed},
                                                    {"trimmed_per_second", row.trimmed},
                                                    {"chain_nanoseconds_per_packet", row.nanoseconds},
                                                    {"chain_cpu_percent", row.cpu * 100}};
    for (const auto& [name, value] : rates) {
      out.key(name);
      out.raw(fixed(value, 1));
    }
    out.end_object();
  }
  out.end_array();
}

std::atomic<bool> stopped{false};  // handler: set, top: ro

void stop_on_interrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) { stopped.store(true, std::memory_order_relaxed); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

// A terminal that hands over each key at once and does not show it; as it was afterwards.
class KeyInput {
 public:
  explicit KeyInput(bool wanted) : on_(wanted && ::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!on_) return;
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &now);
  }
  ~KeyInput() {
    if (on_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  KeyInput(const KeyInput&) = delete;
  KeyInput& operator=(const KeyInput&) = delete;
  [[nodiscard]] bool on() const { return on_; }

 private:
  termios before_{};
  bool on_;
};

// Waits; false: the user ends it, by q or a signal.
bool wait(double seconds, bool keys) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  const int ready = ::poll(&input, keys ? 1 : 0, static_cast<int>(seconds * 1000));
  if (ready <= 0) return !stopped.load(std::memory_order_relaxed);
  char key = 0;
  return ::read(STDIN_FILENO, &key, 1) == 1 && key != 'q';
}

}  // namespace

Status top_show(Context& context, Words& words) {
  double interval = 1;
  if (words.accept("interval")) {
    const auto seconds = words.take_number("interval", 3600);
    if (!seconds) return fail(seconds.error());
    if (*seconds == 0) return usage("interval is at least 1 second");
    interval = static_cast<double>(*seconds);
  }
  if (auto status = words.done(); !status) return status;
  const bool live = context.plain() && ::isatty(STDOUT_FILENO) == 1;
  stop_on_interrupt();
  const KeyInput keys(live);
  auto before = take_sample(context.connection);
  double before_time = now_seconds();
  // The first frame follows soon, so that nobody looks at nothing.
  if (!before) return fail(std::move(before.error()));
  for (double pause = std::min(interval, 1.0); wait(pause, keys.on()); pause = interval) {
    auto after = take_sample(context.connection);
    if (!after) return fail(std::move(after.error()));
    const double time = now_seconds();
    const auto rows = make_rows(*before, *after, time - before_time);
    if (!context.plain()) return write_rows(context.json, rows), Status{};
    if (live) std::fputs("\033[H\033[J", stdout);
    print_rows(rows);
    if (!live) return {};
    std::printf("\nq ends it\n");
    std::fflush(stdout);
    before = std::move(after);
    before_time = time;
  }
  return {};
}

}  // namespace sluice::cli
