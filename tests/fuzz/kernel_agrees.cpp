// Random programs through our verifier and the kernel's: verdicts must be the same, and what both
// accept must leave the same result and the same maps. SLUICE_SEED: another sequence,
// SLUICE_KERNEL_PROGRAMS: how many, SLUICE_VERBOSE: each difference with the kernel's log.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <regex>
#include <sstream>
#include <string>

#include "base/unique_fd.hpp"
#include "bpf/interp/interp.hpp"
#include "bpf/isa/disasm.hpp"
#include "bpf/progs/chain_step.hpp"
#include "bpf/progs/program_type.hpp"
#include "bpf/verifier/verifier.hpp"
#include "tests/fuzz/kernel_program.hpp"

namespace sluice::bpf {
namespace {

constexpr uint64_t kPrograms = 5'000;
constexpr uint32_t kPacketBytes = 100;
constexpr uint32_t kHeader = 14;

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

long kernel_bpf(int command, bpf_attr* attr) {
  return syscall(SYS_bpf, command, attr, sizeof *attr);
}

struct Shape {
  uint32_t type, key_size, value_size, entries;
};
constexpr Shape kShapes[] = {{BPF_MAP_TYPE_ARRAY, 4, 64, 1},
                             {BPF_MAP_TYPE_ARRAY, 4, 64, 4},
                             {BPF_MAP_TYPE_HASH, 4, 16, 8},
                             {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096}};
constexpr uint32_t kComparedMaps = 3;

// The maps of one side, as bpf(2) reaches them.
class Maps {
 public:
  virtual ~Maps() = default;
  virtual int update(uint32_t map, uint32_t key, const void* value) = 0;
  virtual bool lookup(uint32_t map, uint32_t key, void* value) = 0;
  virtual void erase(uint32_t map, uint32_t key) = 0;

  void reset() {
    uint8_t value[64];
    for (uint32_t i = 0; i < sizeof value; i++) value[i] = static_cast<uint8_t>(i * 37 + 11);
    for (uint32_t key = 0; key < 4; key++) update(1, key, value);
    update(0, 0, value);
    for (uint32_t key = 0; key < 16; key++) erase(2, key);
    for (uint32_t key = 0; key < 3; key++) update(2, key, value + 3 * key);
  }
  std::string contents() {
    std::string out;
    uint8_t value[64];
    for (uint32_t map = 0; map < kComparedMaps; map++) {
      for (uint32_t key = 0; key < 8; key++) {
        if (!lookup(map, key, value)) continue;
        out += std::to_string(map) + ":" + std::to_string(key) + "=";
        out.append(reinterpret_cast<const char*>(value), kShapes[map].value_size);
      }
    }
    return out;
  }
};

class KernelMaps : public Maps {
 public:
  bool create() {
    for (const Shape& shape : kShapes) {
      bpf_attr attr{};
      attr.map_type = shape.type;
      attr.key_size = shape.key_size;
      attr.value_size = shape.value_size;
      attr.max_entries = shape.entries;
      fds_.emplace_back(static_cast<int>(kernel_bpf(BPF_MAP_CREATE, &attr)));
      if (!fds_.back()) return false;
    }
    return true;
  }
  [[nodiscard]] int fd(uint32_t map) const { return fds_[map].get(); }
  int update(uint32_t map, uint32_t key, const void* value) override {
    bpf_attr attr = element(map, &key, value);
    return static_cast<int>(kernel_bpf(BPF_MAP_UPDATE_ELEM, &attr));
  }
  bool lookup(uint32_t map, uint32_t key, void* value) override {
    bpf_attr attr = element(map, &key, value);
    return kernel_bpf(BPF_MAP_LOOKUP_ELEM, &attr) == 0;
  }
  void erase(uint32_t map, uint32_t key) override {
    bpf_attr attr = element(map, &key, nullptr);
    kernel_bpf(BPF_MAP_DELETE_ELEM, &attr);
  }

 private:
  bpf_attr element(uint32_t map, const uint32_t* key, const void* value) const {
    bpf_attr attr{};
    attr.map_fd = static_cast<uint32_t>(fd(map));
    attr.key = reinterpret_cast<uint64_t>(key);
    attr.value = reinterpret_cast<uint64_t>(value);
    return attr;
  }
  std::vector<UniqueFd> fds_;
};

class OurMaps : public Maps {
 public:
  OurMaps() {
    for (const Shape& shape : kShapes) {
      MapSpec spec;
      spec.type = shape.type;
      spec.key_size = shape.key_size;
      spec.value_size = shape.value_size;
      spec.max_entries = shape.entries;
      auto map = Map::create(spec);
      if (map) maps.push_back(*map);
    }
  }
  int update(uint32_t map, uint32_t key, const void* value) override {
    return maps[map]->update(&key, value, BPF_ANY);
  }
  bool lookup(uint32_t map, uint32_t key, void* value) override {
    return maps[map]->lookup(&key, value) == 0;
  }
  void erase(uint32_t map, uint32_t key) override { maps[map]->erase(&key); }
  std::vector<std::shared_ptr<Map>> maps;
};

struct Packet {
  // the first 14 twice: the kernel takes them off a socket filter's packet
  uint8_t bytes[kHeader + kPacketBytes];
  uint32_t length;                        // without the copy
};

Packet make_packet(uint64_t seed) {
  std::mt19937_64 random(seed);
  Packet packet;
  for (auto& byte : packet.bytes) byte = static_cast<uint8_t>(random());
  std::memcpy(packet.bytes, packet.bytes + kHeader, kHeader);
  packet.length = 20 + static_cast<uint32_t>(random() % (kPacketBytes - 20));
  return packet;
}

struct Outcome {
  bool ran = false;
  uint32_t result = 0;
  std::string maps;
  bool operator==(const Outcome&) const = default;
};

// What a log says of a number: "scalar(smin=smin32=-4,umax=0xff,var_off=(0x0; 0xff))", a field a
// bound.
using Bounds = std::map<std::string, uint64_t>;

// One executed instruction as a log of level 2 tells it: "12: (07) r8 += 1 ; R8=scalar(...) ...".
struct LoggedStep {
  uint32_t insn;
  std::map<std::string, Bounds> numbers;  // by register
};

Bounds bounds_of(const std::string& text) {
  if (!text.starts_with("scalar")) return {{"constant", std::stoull(text, nullptr, 0)}};
  Bounds out;
  static const std::regex kGroup("((?:[su]m(?:in|ax)(?:32)?=)+)(-?[0-9a-fx]+)");
  static const std::regex kName("([su]m(?:in|ax)(?:32)?)=");
  for (std::sregex_iterator group(text.begin(), text.end(), kGroup), end; group != end; ++group) {
    const uint64_t value = std::stoull((*group)[2], nullptr, 0);
    const std::string names = (*group)[1];
    for (std::sregex_iterator name(names.begin(), names.end(), kName); name != end; ++name) {
      const std::string which = (*name)[1];
      out[which] = which.ends_with("32") ? static_cast<uint32_t>(value) : value;
    }
  }
  static const std::regex kBits("var_off=\\((0x[0-9a-f]+); (0x[0-9a-f]+)\\)");
  std::smatch bits;
  if (std::regex_search(text, bits, kBits)) {
    out["value"] = std::stoull(bits[1], nullptr, 0);
    out["mask"] = std::stoull(bits[2], nullptr, 0);
  }
  return out;
}

void note_numbers(const std::string& states, LoggedStep* step) {
  static const std::regex kRegister(
      "(R[0-9]+)(?:_w|_r)?=P?(scalar\\((?:[^()]|\\([^()]*\\))*\\)|-?[0-9]+|0x[0-9a-f]+)(?= |$)");
  for (std::sregex_iterator it(states.begin(), states.end(), kRegister), end; it != end; ++it) {
    step->numbers[(*it)[1]] = bounds_of((*it)[2]);
  }
}

std::string text_of(const Bounds& bounds) {
  std::string out;
  for (const auto& [name, value] : bounds) {
    char text[64];
    snprintf(text, sizeof text, " %s=%lx", name.c_str(), value);
    out += text;
  }
  return out;
}

std::vector<LoggedStep> steps_of(const std::string& log) {
  static const std::regex kStep("^([0-9]+): \\([0-9a-f]{2}\\) [^;]*(?:; (.*))?$");
  static const std::regex kLater("^([0-9]+): (R[0-9].*)$");
  std::vector<LoggedStep> out;
  std::istringstream lines(log);
  bool open = false;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (line.size() > 8000) continue;
    if (std::regex_match(line, match, kStep)) {
      out.push_back({static_cast<uint32_t>(std::stoul(match[1])), {}});
      note_numbers(match[2], &out.back());
      open = match[2].length() == 0;
    } else if (open && std::regex_match(line, match, kLater)) {
      note_numbers(match[2], &out.back());
      open = false;
    } else if (line.starts_with("from ")) {
      open = false;
    }
  }
  return out;
}

class Comparison {
 public:
  bool start() {
    log_.resize(1 << 20);
    return kernel_.create() && elsewhere_.create();
  }

  void compare(uint64_t seed) {
    const KernelProgram program = kernel_program(seed);
    const VerifierResult ours = verify(input_of(program));
    // A helper without a body has been verified.
    const bool accepted = ours.program != nullptr ||
                          ours.report.reason.find("is not implemented") != std::string::npos;
    int error = 0;
    const UniqueFd fd = load_kernel(program, 0, &error);
    if (accepted != static_cast<bool>(fd))
      return note_verdict(seed, program, ours, static_cast<bool>(fd));
    count(program, accepted ? "both accept" : "both refuse");
    if (!accepted || ours.program == nullptr || !program.runs) return;
    for (uint64_t i = 0; i < 2; i++)
      compare_runs(seed, program, *ours.program, fd.get(), make_packet(seed * 2 + i));
  }

  // What is known of each number after each instruction.
  void compare_states(uint64_t seed) {
    const KernelProgram program = number_program(seed);
    int error = 0;
    load_kernel(program, 2, &error);
    VerifierInput input = input_of(program);
    input.log_level = 2;
    const auto kernel = steps_of(log_.data());
    const std::string our_log = verify(input).log;
    const auto ours = steps_of(our_log);
    for (size_t i = 0; i < std::min(ours.size(), kernel.size()); i++) {
      if (ours[i].insn != kernel[i].insn) return count(program, "walks part");
      for (const auto& [name, bounds] : ours[i].numbers) {
        const auto found = kernel[i].numbers.find(name);
        if (found == kernel[i].numbers.end() || found->second == bounds) continue;
        differing++;
        std::printf("seed %lu insn %u %s: %s is%s, the kernel's%s\n", seed, ours[i].insn,
                    disassemble(&program.insns[ours[i].insn]).c_str(), name.c_str(),
                    text_of(bounds).c_str(), text_of(found->second).c_str());
        if (std::getenv("SLUICE_VERBOSE") != nullptr)
          std::printf("%s\nOURS\n%s\n", log_.data(), our_log.c_str());
        return count(program, "numbers differ");
      }
    }
    count(program, "numbers agree");
  }

  void print() const {
    for (const auto& [name, count] : counts_) std::printf("%-40s %lu\n", name.c_str(), count);
  }

  uint64_t ours_alone = 0;
  uint64_t kernel_alone = 0;
  uint64_t differing = 0;

 private:
  VerifierInput input_of(const KernelProgram& program) const {
    VerifierInput input;
    input.name = "random";
    input.type = program.type;
    input.gpl_compatible = true;
    input.possible_cpus = static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_CONF));
    input.insns = program.insns;
    input.maps = ours_.maps;
    return input;
  }

  UniqueFd load_kernel(const KernelProgram& program, uint32_t log_level, int* error) {
    return load_kernel(program, kernel_, log_level, error);
  }
  UniqueFd load_kernel(const KernelProgram& program, const KernelMaps& maps, uint32_t log_level,
                       int* error) {
    std::vector<Insn> insns = program.insns;
    for (size_t i = 0; i < insns.size(); i += insn_length(insns[i])) {
      if (is_load_imm64(insns[i]) && insns[i].src_reg != 0)
        insns[i].imm = maps.fd(static_cast<uint32_t>(insns[i].imm));
    }
    bpf_attr attr{};
    attr.prog_type = program.type;
    attr.insns = reinterpret_cast<uint64_t>(insns.data());
    attr.insn_cnt = static_cast<uint32_t>(insns.size());
    attr.license = reinterpret_cast<uint64_t>("GPL");
    attr.log_level = log_level;
    attr.log_buf = log_level == 0 ? 0 : reinterpret_cast<uint64_t>(log_.data());
    attr.log_size = log_level == 0 ? 0 : static_cast<uint32_t>(log_.size());
    UniqueFd fd(static_cast<int>(kernel_bpf(BPF_PROG_LOAD, &attr)));
    *error = errno;
    return fd;
  }

  void count(const KernelProgram& program, const char* what) {
    counts_[std::string(program.kind) + ", " + std::string(find_program_type(program.type)->name) +
            ": " + what]++;
    counts_[std::string("all: ") + what]++;
  }

  // kptrs, dynptrs, timers and kernel objects are left out of sluice.
  static bool out_of_scope(const VerifierResult& ours) { return ours.report.code == EOPNOTSUPP; }

  void note_verdict(uint64_t seed, const KernelProgram& program, const VerifierResult& ours,
                    bool kernel_accepts) {
    int error = 0;
    if (kernel_accepts && out_of_scope(ours)) return count(program, "out of scope");
    load_kernel(program, 2, &error);
    const std::string log = log_.data();
    // A program over the kernel's budget says nothing.
    (kernel_accepts ? kernel_alone : ours_alone)++;
    count(program, kernel_accepts ? "the kernel alone accepts" : "we alone accept");
    std::printf("seed %lu: %s accepts; insn %u: %s\n", seed,
                kernel_accepts ? "the kernel alone" : "ours alone", ours.report.insn,
                ours.report.reason.c_str());
    if (std::getenv("SLUICE_VERBOSE") != nullptr) std::printf("%s\n", log.c_str());
    if (std::getenv("SLUICE_VERBOSE") != nullptr) {
      VerifierInput input = input_of(program);
      input.log_level = 2;
      std::printf("OURS\n%s\n", verify(input).log.c_str());
    }
  }

  Outcome run_kernel(const KernelProgram& program, int fd, const Packet& packet) {
    return run_kernel(program, kernel_, fd, packet);
  }
  Outcome run_kernel(const KernelProgram& program, KernelMaps& maps, int fd, const Packet& packet) {
    const bool strips = program.type == BPF_PROG_TYPE_SOCKET_FILTER;
    bpf_attr attr{};
    attr.test.prog_fd = static_cast<uint32_t>(fd);
    attr.test.data_in = reinterpret_cast<uint64_t>(strips ? packet.bytes : packet.bytes + kHeader);
    attr.test.data_size_in = strips ? packet.length + kHeader : packet.length;
    maps.reset();
    if (kernel_bpf(BPF_PROG_TEST_RUN, &attr) != 0) return {};
    return {true, attr.test.retval, maps.contents()};
  }

  Outcome run_ours(const AnnotatedProgram& program, Packet packet) {
    RunEnv env;
    env.ingress_ifindex = program.type == BPF_PROG_TYPE_XDP ? 1 : 0;
    const LinearPacket linear{
        .buffer = packet.bytes + kHeader, .captured = packet.length, .wire_length = packet.length};
    PacketContext ctx;
    load_context(&ctx, kLinearLayout, &linear, &env);
    enter_stack(&ctx);
    ours_.reset();
    const auto result = static_cast<uint32_t>(interpret(program, &ctx));
    return {true, result, ours_.contents()};
  }

  void compare_runs(uint64_t seed, const KernelProgram& program, const AnnotatedProgram& annotated,
                    int fd, const Packet& packet) {
    const Outcome kernel = run_kernel(program, fd, packet);
    // What the kernel does not repeat, such as a number made of an address, cannot be compared.
    if (!kernel.ran || !(kernel == run_kernel(program, fd, packet)))
      return count(program, "run is not repeatable");
    const Outcome ours = run_ours(annotated, packet);
    if (ours == kernel) return count(program, "runs agree");
    // With maps elsewhere a number made of their addresses is another.
    int error = 0;
    const UniqueFd moved = load_kernel(program, elsewhere_, 0, &error);
    if (!(kernel == run_kernel(program, elsewhere_, moved.get(), packet))) {
      return count(program, "run is not repeatable");
    }
    differing++;
    count(program, "runs differ");
    std::printf("seed %lu: %s, result %u, the kernel's %u%s\n", seed,
                find_program_type(program.type)->name.data(), ours.result, kernel.result,
                ours.maps == kernel.maps ? "" : ", maps differ");
    if (std::getenv("SLUICE_VERBOSE") == nullptr) return;
    for (size_t i = 0; i < ours.maps.size() && i < kernel.maps.size(); i++) {
      if (ours.maps[i] == kernel.maps[i]) continue;
      std::printf("byte %zu: %02x, the kernel's %02x\n", i, ours.maps[i] & 0xff,
                  kernel.maps[i] & 0xff);
    }
    for (size_t i = 0; i < program.insns.size(); i += insn_length(program.insns[i])) {
      std::printf("%zu: %s\n", i, disassemble(&program.insns[i]).c_str());
    }
  }

  KernelMaps kernel_;
  KernelMaps elsewhere_;
  OurMaps ours_;
  std::string log_;
  std::map<std::string, uint64_t> counts_;
};

TEST(KernelAgrees, OnRandomPrograms) {
  Comparison comparison;
  if (!comparison.start()) GTEST_SKIP() << "bpf(2) is not permitted here: the kernel was not asked";
  const uint64_t first = number_from("SLUICE_SEED", 1);
  const uint64_t programs = number_from("SLUICE_KERNEL_PROGRAMS", kPrograms);
  for (uint64_t seed = first; seed < first + programs; seed++) comparison.compare(seed);
  comparison.print();
  EXPECT_EQ(comparison.ours_alone, 0u);
  EXPECT_EQ(comparison.differing, 0u);
  EXPECT_LE(comparison.kernel_alone * 1000, programs);
}

TEST(KernelAgrees, OnWhatIsKnownOfNumbers) {
  Comparison comparison;
  if (!comparison.start()) GTEST_SKIP() << "bpf(2) is not permitted here: the kernel was not asked";
  const uint64_t first = number_from("SLUICE_SEED", 1);
  const uint64_t programs = number_from("SLUICE_KERNEL_PROGRAMS", kPrograms) / 5;
  for (uint64_t seed = first; seed < first + programs; seed++) comparison.compare_states(seed);
  comparison.print();
  EXPECT_EQ(comparison.differing, 0u);
}

}  // namespace
}  // namespace sluice::bpf
