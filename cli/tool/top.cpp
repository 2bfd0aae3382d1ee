// `sluice top`: programs by what they cost and decide, again and again on a terminal, once into a
// pipe.
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <optional>
#include <span>

#include "base/table.hpp"
#include "cli/tool/interrupt.hpp"
#include "cli/tool/samples.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

// What the rows can be sorted by, and the key that does it.
struct Order {
  char key;
  const char* name;
  double ProgramRate::*value;  // null: by name
};
constexpr Order kOrders[] = {{'c', "cpu", &ProgramRate::chain_cpu},
                             {'r', "run", &ProgramRate::run},
                             {'p', "passed", &ProgramRate::passed},
                             {'d', "dropped", &ProgramRate::dropped},
                             {'n', "name", nullptr}};

void sort_rows(std::vector<ProgramRate>& rows, const Order& order) {
  std::stable_sort(rows.begin(), rows.end(), [&](const ProgramRate& a, const ProgramRate& b) {
    if (order.value == nullptr) return std::pair(a.program, a.port) < std::pair(b.program, b.port);
    return a.*order.value != b.*order.value ? a.*order.value > b.*order.value : a.run > b.run;
  });
}

// The columns in the order they are given up where the terminal is narrow: the last one first.
struct Column {
  const char* title;
  const char* member;  // of the JSON
  double ProgramRate::*value;
  int digits;
  double factor;
};
constexpr Column kColumns[] = {
    {"run/s", "run_per_second", &ProgramRate::run, 0, 1},
    {"dropped/s", "dropped_per_second", &ProgramRate::dropped, 0, 1},
    {"chain cpu %", "chain_cpu_percent", &ProgramRate::chain_cpu, 1, 100},
    {"chain ns", "chain_nanoseconds_per_packet", &ProgramRate::chain_nanoseconds, 1, 1},
    {"passed/s", "passed_per_second", &ProgramRate::passed, 0, 1},
    {"trimmed/s", "trimmed_per_second", &ProgramRate::trimmed, 0, 1}};

std::string table_of(const std::vector<ProgramRate>& rows, size_t columns) {
  Rows table{{"program", "port"}};
  for (const auto& column : std::span(kColumns, columns)) table[0].emplace_back(column.title);
  for (const auto& row : rows) {
    table.push_back({row.program, row.port});
    for (const auto& column : std::span(kColumns, columns))
      table.back().push_back(fixed(row.*column.value * column.factor, column.digits));
  }
  return format_table(table);
}

// A terminal's lines, each cut at its right edge.
std::vector<std::string> lines_of(const std::string& text, size_t width) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, std::min(end - at, width)));
    at = end + 1;
  }
  return lines;
}

std::vector<std::string> fit_table(const std::vector<ProgramRate>& rows, size_t width) {
  for (size_t columns = std::size(kColumns);; columns--) {
    const std::string text = table_of(rows, columns);
    const auto whole = lines_of(text, text.npos);
    const bool fits = std::all_of(whole.begin(), whole.end(),
                                  [&](const auto& line) { return line.size() <= width; });
    if (fits || columns == 1) return lines_of(text, width);
  }
}

std::string headline(const Sample& before, const Sample& after, const Order& order,
                     double interval) {
  const auto ports = port_rates(before, after);
  const auto workers = worker_rates(before, after);
  const auto sum = [](const auto& rows, auto member) {
    return std::accumulate(rows.begin(), rows.end(), 0.0,
                           [&](double all, const auto& row) { return all + row.*member; });
  };
  return std::to_string(ports.size()) + (ports.size() == 1 ? " port, " : " ports, ") +
         fixed(sum(ports, &PortRate::rx_packets), 0) + " packets/s, " +
         std::to_string(workers.size()) + (workers.size() == 1 ? " worker, " : " workers, ") +
         fixed(sum(workers, &WorkerRate::busy) * 100, 1) + " cpu %, by " + order.name + ", every " +
         fixed(interval, 0) + " s";
}

void draw(const Sample& before, const Sample& after, const Order& order, double interval) {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) size = {24, 80, 0, 0};
  const size_t width = size.ws_col;
  auto rows = program_rates(before, after);
  sort_rows(rows, order);
  auto table = fit_table(rows, width);
  // beside the headline, a blank line and the keys
  const size_t room = size.ws_row > 5 ? size.ws_row - 4u : 1;
  const size_t hidden = table.size() > room ? table.size() - room : 0;
  table.resize(table.size() - hidden);
  std::string frame =
      "\033[H\033[J" + headline(before, after, order, interval).substr(0, width) + "\n\n";
  for (const auto& line : table) frame += line + "\n";
  std::string keys = hidden > 0 ? std::to_string(hidden) + " more; " : "";
  keys += "q ends it; by c cpu, r run, p passed, d dropped, n name";
  frame += keys.substr(0, width);
  std::fputs(frame.c_str(), stdout);
  std::fflush(stdout);
}

void write_rows(JsonWriter& out, const std::vector<ProgramRate>& rows) {
  out.begin_array();
  for (const auto& row : rows) {
    out.begin_object();
    out.member("program", row.program);
    out.member("port", row.port);
    for (const auto& column : kColumns) {
      out.key(column.member);
      out.raw(fixed(row.*column.value * column.factor, 1));
    }
    out.end_object();
  }
  out.end_array();
}

// A terminal that hands over each key at once and does not show it; as it was afterwards.
class KeyInput {
 public:
  KeyInput() : on_(::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!on_) return;
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &now);
  }
  ~KeyInput() {
    if (on_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    std::printf("\n");
    std::fflush(stdout);
  }
  KeyInput(const KeyInput&) = delete;
  KeyInput& operator=(const KeyInput&) = delete;

  // The next key within the time, 0 for none; 'q' also where nobody can press one any more.
  char wait(int milliseconds) const {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&input, on_ ? 1 : 0, milliseconds);
    if (interrupted()) return 'q';
    char key = 0;
    return ready <= 0 ? 0 : ::read(STDIN_FILENO, &key, 1) == 1 ? key : 'q';
  }

 private:
  termios before_{};
  bool on_;
};

// Until q: a frame an interval, and the last one anew for a key that sorts.
Status run_live(Connection& connection, Sample before, const Order* order, double interval) {
  using Clock = std::chrono::steady_clock;
  const auto pause = [](double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  };
  const KeyInput keys;
  std::optional<Sample> after;
  // The first frame comes soon, so that nobody looks at nothing.
  auto due = Clock::now() + pause(std::min(interval, 0.5));
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now());
    const char key = keys.wait(std::max(0, static_cast<int>(left.count())));
    if (key == 'q') return {};
    const auto* wanted = std::find_if(std::begin(kOrders), std::end(kOrders),
                                      [&](const Order& row) { return row.key == key; });
    if (wanted != std::end(kOrders)) order = wanted;
    if (key == 0) {
      auto next = take_sample(connection);
      if (!next) return fail(std::move(next.error()));
      if (after) before = std::move(*after);
      after = std::move(*next);
      due = Clock::now() + pause(interval);
    }
    if (after) draw(before, *after, *order, interval);
  }
}

}  // namespace

Status top_show(Context& context, Words& words) {
  double interval = 1;
  const Order* order = &kOrders[0];
  while (!words.empty()) {
    if (words.accept("interval")) {
      const auto seconds = words.take_number("interval", 3600);
      if (!seconds) return fail(seconds.error());
      if (*seconds == 0) return usage("interval is at least 1 second");
      interval = static_cast<double>(*seconds);
    } else if (words.accept("sort")) {
      order = std::find_if(std::begin(kOrders), std::end(kOrders),
                           [&](const Order& row) { return words.next_is(row.name); });
      if (order == std::end(kOrders))
        return usage("sort: expected cpu, run, passed, dropped or name");
      (void)words.take("sort");
    } else {
      return words.done();
    }
  }
  auto before = take_sample(context.connection);
  if (!before) return fail(std::move(before.error()));
  catch_interrupts();
  if (context.plain() && ::isatty(STDOUT_FILENO) == 1)
    return run_live(context.connection, std::move(*before), order, interval);
  (void)pause_for(std::chrono::milliseconds(static_cast<int>(interval * 1000)));
  const auto after = take_sample(context.connection);
  if (!after) return fail(after.error());
  auto rows = program_rates(*before, *after);
  sort_rows(rows, *order);
  if (!context.plain()) return write_rows(context.json, rows), Status{};
  std::fputs(table_of(rows, std::size(kColumns)).c_str(), stdout);
  return {};
}

}  // namespace sluice::cli
