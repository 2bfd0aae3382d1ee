#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "tests/bench/linux_peer.hpp"

namespace sluice::bench {
namespace {

int print_nothing(libbpf_print_level, const char*, va_list) { return 0; }

// Of this thread, in the kernel too: other work of the machine is not counted.
double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

class KernelProgram final : public LinuxPeer {
 public:
  ~KernelProgram() override { bpf_object__close(object_); }
  KernelProgram() = default;
  KernelProgram(const KernelProgram&) = delete;
  KernelProgram& operator=(const KernelProgram&) = delete;

  bool load(const std::string& path, const std::string& entry, uint32_t filters_as,
            std::string* why) {
    libbpf_set_print(print_nothing);
    object_ = bpf_object__open_file(path.c_str(), nullptr);
    if (object_ == nullptr) return *why = "cannot be opened", false;
    program_ = bpf_object__find_program_by_name(object_, entry.c_str());
    if (program_ == nullptr) return *why = "no program " + entry, false;
    bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(object_, program)) != nullptr) {
      if (bpf_program__type(program) != BPF_PROG_TYPE_SOCKET_FILTER) continue;
      bpf_program__set_type(program, static_cast<bpf_prog_type>(filters_as));
    }
    const int error = bpf_object__load(object_);
    if (error != 0) return *why = std::string("bpf(2): ") + strerror(-error), false;
    return true;
  }

  Result<TestRun> run(const Frame& frame, uint32_t repeat) override {
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data, .data_size_in = frame.length,
                .repeat = static_cast<int>(repeat));
    const double start = cpu_ns();
    const int error = bpf_prog_test_run_opts(bpf_program__fd(program_), &options);
    const double ns = cpu_ns() - start;
    if (error != 0) return fail(-error, std::string("BPF_PROG_TEST_RUN: ") + strerror(-error));
    // The kernel's figure is by the clock on the wall: it counts what else ran on a machine that is
    // not idle.
    return TestRun{options.retval, std::min(static_cast<double>(options.duration), ns / repeat)};
  }

  Status update(const std::string& map, const void* key, const void* value) override {
    return update_batch(map, key, value, 1);
  }
  Status update_batch(const std::string& map, const void* keys, const void* values,
                      uint32_t count) override {
    const bpf_map* found = bpf_object__find_map_by_name(object_, map.c_str());
    if (found == nullptr) return fail(ENOENT, "no map " + map);
    const auto* key = static_cast<const uint8_t*>(keys);
    const auto* value = static_cast<const uint8_t*>(values);
    for (uint32_t i = 0; i < count; i++) {
      const int error = bpf_map_update_elem(bpf_map__fd(found), key, value, BPF_ANY);
      if (error != 0) return fail(-error, "update " + map + ": " + strerror(-error));
      key += bpf_map__key_size(found);
      value += bpf_map__value_size(found);
    }
    return {};
  }

  Result<std::map<std::string, std::string>> contents(const std::string& name) override {
    const bpf_map* map = bpf_object__find_map_by_name(object_, name.c_str());
    if (map == nullptr) return fail(ENOENT, "no map " + name);
    const bool per_cpu = bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY ||
                         bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_HASH;
    const uint32_t size =
        per_cpu ? (bpf_map__value_size(map) + 7) / 8 * 8 : bpf_map__value_size(map);
    const uint32_t copies = per_cpu ? static_cast<uint32_t>(libbpf_num_possible_cpus()) : 1;
    std::map<std::string, std::string> all;
    std::string key(bpf_map__key_size(map), '\0');
    std::string next = key;
    std::string value(size_t{size} * copies, '\0');
    const void* last = nullptr;
    while (bpf_map_get_next_key(bpf_map__fd(map), last, next.data()) == 0) {
      key = next;
      last = key.data();
      if (bpf_map_lookup_elem(bpf_map__fd(map), key.data(), value.data()) == 0)
        all[key] = sum(value, size, copies);
    }
    return all;
  }

  Result<double> load_ns() override {
    LIBBPF_OPTS(bpf_prog_load_opts, options,
                .expected_attach_type = bpf_program__expected_attach_type(program_));
    const double start = cpu_ns();
    const int fd =
        bpf_prog_load(bpf_program__type(program_), nullptr, "GPL", bpf_program__insns(program_),
                      bpf_program__insn_cnt(program_), &options);
    const double ns = cpu_ns() - start;
    if (fd < 0) return fail(-fd, std::string("BPF_PROG_LOAD: ") + strerror(-fd));
    close(fd);
    return ns;
  }

 private:
  static std::string sum(const std::string& value, uint32_t size, uint32_t copies) {
    if (copies == 1) return value;
    std::string total(size, '\0');
    for (uint32_t at = 0; at < size; at += 8) {
      uint64_t words = 0;
      for (uint32_t copy = 0; copy < copies; copy++) {
        uint64_t word;
        std::memcpy(&word, value.data() + size_t{copy} * size + at, 8);
        words += word;
      }
      std::memcpy(total.data() + at, &words, 8);
    }
    return total;
  }

  bpf_object* object_ = nullptr;
  bpf_program* program_ = nullptr;
};

}  // namespace
}  // namespace sluice::bench

extern "C" sluice::bench::LinuxPeer* sluice_make_linux_peer(const std::string& object,
                                                            const std::string& entry,
                                                            uint32_t filters_as, std::string* why) {
  auto peer = std::make_unique<sluice::bench::KernelProgram>();
  if (!peer->load(object, entry, filters_as, why)) return nullptr;
  return peer.release();
}
