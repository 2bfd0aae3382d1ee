// Kind `program`: real programs over mixed traffic, packets hot and 64 K distinct ones. The same C
// source three times: as BPF through our JIT, as BPF in the kernel, and natively against sluice's
// own maps, whose shapes and places are constants there as they are for the JIT.
#include <linux/bpf.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/limits.hpp"
#include "bpf/loader/loader.hpp"
#include "tests/bench/kinds.hpp"
#include "tests/bench/linux_peer.hpp"
#include "tests/bench/program_rows.hpp"
#include "tests/bench/runner.hpp"
#include "tests/bench/verdict.hpp"

namespace sluice::bench {
namespace {

constexpr uint32_t kSampled = 64;        // packets of the hot set that the kernel repeats
constexpr uint32_t kRepeat = 2000;       // runs of each
constexpr double kNetFloorNs = 5;        // below, the difference of two kernel figures says nothing
using Verdicts = std::vector<uint32_t>;
// the kernel's figures of programs that do nothing, by type
using Empties = std::map<uint32_t, Value>;
using NativeBurst = void (*)(void* const*, uint32_t, uint32_t*, bpf::RunEnv*);

struct Set {
  const char* name;
  uint32_t packets;
  uint32_t flows;
  bool hot;
};
constexpr Set kSets[] = {{"hot", 512, 512, true}, {"64 K distinct", 65536, 32768, false}};

// The core's bytes as a constant, which the compiler folds as the JIT does.
std::string core_text(const std::string& name, const bpf::MapCore& core) {
  static_assert(sizeof core % 8 == 0);
  uint64_t words[sizeof core / 8];
  std::memcpy(words, &core, sizeof core);
  std::string text = "static const unsigned long long core_" + name + "[] = {";
  for (const uint64_t word : words) text += std::to_string(word) + "ull, ";
  return text + "};\n";
}

std::string native_text(const ProgramRow& row, const bpf::LoadedProgram& loaded) {
  std::string text = "#include \"tests/bench/programs/native.hpp\"\n#include \"" +
                     std::string(row.source) + "\"\n";
  std::string choice;
  for (const auto& [name, map] : loaded.maps) {
    if (name.find('.') != std::string::npos) continue;  // global data, which is plain data there
    text += core_text(name, map->core());
    choice +=
        "  if (map == &" + name + ") return (const sluice::bpf::MapCore*)core_" + name + ";\n";
  }
  text += "const sluice::bpf::MapCore* core_of(const void* map) {\n" + choice +
          "  return nullptr;\n}\n";
  return text + "NATIVE_BURST(" + row.entry + ", " + std::to_string(loaded.program->type) + ")\n";
}

// One source, one set of packets.
class Contest {
 public:
  Contest(Bench& bench, const ProgramRow& row, const Set& set, const Traffic& traffic)
      : bench_(bench), row_(row), set_(set), traffic_(traffic), verdicts_(set.packets) {
    result_.kind = "program";
    result_.name = std::string(row.name) + ", " + set.name;
    if (row.maps) result_.group = "with maps";
  }

  void run(const Empties& empties) {
    auto object = bench_.workshop.bpf_object(row_.source, "");
    if (!object) give_up(object.error().text);
    if (!add_sluice(*object)) return;
    add_native(*object);
    if (set_.hot) {
      add_linux(*object);
    } else {
      result_.absent.push_back("linux: BPF_PROG_TEST_RUN repeats one packet");
    }
    result_.values = measure(bench_.effort, contestants_);
    add_net(empties);
    report(result_);
  }
  [[nodiscard]] const Value* linux_value() const { return result_.find("linux"); }
  // As what the kernel runs it: socket filters there see no Ethernet header.
  [[nodiscard]] uint32_t kernel_type() const {
    const uint32_t type = loaded_.program->type;
    return type == BPF_PROG_TYPE_SOCKET_FILTER ? uint32_t{BPF_PROG_TYPE_SCHED_CLS} : type;
  }

 private:
  bool add_sluice(const std::string& object) {
    std::string why;
    loaded_ = load_row(bench_, object, row_, traffic_, &why);
    if (why.empty()) {
      auto runner = Runner::make(loaded_.program, bpf::kLinearLayout, traffic_.packets);
      if (!runner) why = runner.error().text;
      if (runner) runner_ = std::move(*runner);
    }
    if (!why.empty()) {
      report_missing("program", result_.name, why);
      return false;
    }
    runner_->run(verdicts_.data());
    expected_ = verdicts_;
    for (const char* map : row_.compared)
      expected_contents_[map] = contents_of(*loaded_.maps.at(map));
    contestants_.push_back(
        timed("sluice", bench_.effort, set_.packets, [this] { runner_->run(verdicts_.data()); }));
    return true;
  }

  void add_native(const std::string& object) {
    std::string why;
    native_loaded_ = load_row(bench_, object, row_, traffic_, &why);
    const auto code = bench_.workshop.native_code(native_text(row_, native_loaded_), "c++");
    if (!code) give_up(code.error().text);
    const auto burst = reinterpret_cast<NativeBurst>(*code);
    const auto pass = [this, burst] {
      for (uint32_t i = 0; i < set_.packets; i += kBurst) {
        burst(traffic_.packets.data() + i, std::min(kBurst, set_.packets - i), verdicts_.data() + i,
              &env_);
      }
    };
    pass();
    compare("native", verdicts_);
    for (const char* map : row_.compared)
      compare("native", map, contents_of(*native_loaded_.maps.at(map)));
    contestants_.push_back(timed("native", bench_.effort, set_.packets, pass));
  }

  void add_linux(const std::string& object) {
    auto peer = make_linux_peer(object, row_.entry, kernel_type());
    if (!peer) {
      result_.absent.push_back("linux: " + peer.error().text);
      return;
    }
    linux_ = std::move(*peer);
    row_.fill(traffic_, [&](const char* map, const void* key, const void* value) {
      if (auto done = linux_->update(map, key, value); !done) give_up(done.error().text);
    });
    Verdicts verdicts;
    for (const auto& frame : traffic_.frames) {
      verdicts.push_back(
          verdict_of(loaded_.program->type, run_linux(frame, 1).retval, frame.length));
    }
    compare("linux", verdicts);
    for (const char* map : row_.compared) {
      auto contents = linux_->contents(map);
      if (!contents) give_up(contents.error().text);
      compare("linux", map, *contents);
    }
    contestants_.push_back({"linux", [this] {
                              double ns = 0;
                              for (uint32_t i = 0; i < kSampled; i++)
                                ns += run_linux(traffic_.frames[i], kRepeat).ns;
                              return ns / kSampled;
                            }});
  }

  TestRun run_linux(const Frame& frame, uint32_t repeat) {
    const auto run = linux_->run(frame, repeat);
    if (!run) give_up(run.error().text);
    return *run;
  }

  void add_net(const Empties& empties) {
    const Value* gross = linux_value();
    const auto empty = empties.find(kernel_type());
    if (gross == nullptr || empty == empties.end()) return;
    const double net = gross->median - empty->second.median;
    if (net < kNetFloorNs) {
      result_.absent.push_back("linux_net: under 5 ns");
    } else {
      result_.values.push_back({"linux_net", net, gross->spread});
    }
  }

  void compare(const char* peer, const Verdicts& verdicts) {
    const auto at = std::mismatch(expected_.begin(), expected_.end(), verdicts.begin()).first -
                    expected_.begin();
    if (static_cast<size_t>(at) == expected_.size()) return;
    give_up(result_.name + ": packet " + std::to_string(at) + ": sluice keeps " +
            std::to_string(expected_[at]) + ", " + peer + " " + std::to_string(verdicts[at]));
  }
  void compare(const char* peer, const std::string& map, const Contents& contents) {
    if (expected_contents_[map] != contents)
      give_up(result_.name + ": map " + map + " differs from " + peer + "'s");
  }

  Bench& bench_;
  const ProgramRow& row_;
  const Set& set_;
  const Traffic& traffic_;
  Verdicts verdicts_;
  Verdicts expected_;
  std::map<std::string, Contents> expected_contents_;
  bpf::LoadedProgram loaded_;
  bpf::LoadedProgram native_loaded_;
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<LinuxPeer> linux_;
  bpf::RunEnv env_{.writer = 0};
  std::vector<Contestant> contestants_;
  Row result_;
};

}  // namespace

void bench_program(Bench& bench) {
  static const ProgramRow kEmpty[] = {{"empty",
                                       "tests/bench/programs/empty.bpf.c",
                                       "empty",
                                       [](const Traffic&, const Put&) {},
                                       {},
                                       false},
                                      {"empty xdp",
                                       "tests/bench/programs/empty.bpf.c",
                                       "empty_xdp",
                                       [](const Traffic&, const Put&) {},
                                       {},
                                       false}};
  Empties empties;
  for (const Set& set : kSets) {
    const Traffic traffic(set.packets, set.flows);
    for (size_t i = 0; set.hot && i < std::size(kEmpty); i++) {
      Contest contest(bench, kEmpty[i], set, traffic);
      contest.run(empties);
      if (const Value* value = contest.linux_value()) empties[contest.kernel_type()] = *value;
    }
    for (const ProgramRow& row : program_rows()) Contest(bench, row, set, traffic).run(empties);
  }
}

}  // namespace sluice::bench
