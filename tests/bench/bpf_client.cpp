// A client of bpf(2) that measures one thing and prints its nanoseconds: bpf_client HOW WHAT COUNT.
// HOW: "syscall" (the kernel's, or under `sluice exec` the daemon's), "socket" (the daemon's, by
// the client library). WHAT: "lookup" (a hash, ns a lookup), "load" (an mmap'd array, ns a load),
// "dump" (COUNT entries of a hash by batches, ns for all), "bpftool" (the same by bpftool's dump,
// elements one by one). Ends with 77 and a word where the way is not open.
#include <errno.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bpf/client/client.hpp"

namespace {

using Bpf = std::function<long(int cmd, union bpf_attr* attr)>;  // a negative errno where it fails
using Clock = std::chrono::steady_clock;

[[noreturn]] void give_up(const char* what, long error) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(static_cast<int>(-error)));
  std::exit(77);
}

long check(const char* what, long result) {
  if (result < 0) give_up(what, result);
  return result;
}

union bpf_attr empty() {
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  return attr;
}
uint64_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

int create(const Bpf& bpf, uint32_t type, uint32_t key_size, uint32_t entries, uint32_t flags) {
  auto attr = empty();
  attr.map_type = type;
  attr.key_size = key_size;
  attr.value_size = 8;
  attr.max_entries = entries;
  attr.map_flags = flags;
  return static_cast<int>(check("create a map", bpf(BPF_MAP_CREATE, &attr)));
}

long element(const Bpf& bpf, int cmd, int map, const uint64_t* key, const uint64_t* value) {
  auto attr = empty();
  attr.map_fd = static_cast<uint32_t>(map);
  attr.key = address(key);
  attr.value = address(value);
  return bpf(cmd, &attr);
}

double since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

int filled_hash(const Bpf& bpf, uint64_t entries) {
  const int map = create(bpf, BPF_MAP_TYPE_HASH, 8, static_cast<uint32_t>(entries), 0);
  for (uint64_t key = 0; key < entries; key++)
    check("fill", element(bpf, BPF_MAP_UPDATE_ELEM, map, &key, &key));
  return map;
}

double lookup_ns(const Bpf& bpf, uint64_t count) {
  constexpr uint64_t kEntries = 1000;
  const int map = filled_hash(bpf, kEntries);
  const auto start = Clock::now();
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t key = i % kEntries;
    uint64_t value = 0;
    check("lookup", element(bpf, BPF_MAP_LOOKUP_ELEM, map, &key, &value));
    if (value != key) give_up("lookup: another value", -EIO);
  }
  return since(start) / static_cast<double>(count);
}

double load_ns(const Bpf& bpf, uint64_t count) {
  constexpr uint32_t kEntries = 512;  // a page
  const int map = create(bpf, BPF_MAP_TYPE_ARRAY, 4, kEntries, BPF_F_MMAPABLE);
  void* page = ::mmap(nullptr, kEntries * 8, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  if (page == MAP_FAILED) give_up("mmap", -errno);
  const auto* values = static_cast<const volatile uint64_t*>(page);
  uint64_t sum = 0;
  const auto start = Clock::now();
  for (uint64_t i = 0; i < count; i++) sum += values[i % kEntries];
  const double ns = since(start) / static_cast<double>(count);
  return sum == 0 ? ns : 0;
}

double dump_ns(const Bpf& bpf, uint64_t entries) {
  constexpr uint32_t kBatch = 8192;
  const int map = filled_hash(bpf, entries);
  std::vector<uint64_t> keys(kBatch), values(kBatch);
  uint64_t place = 0, found = 0;
  bool first = true;
  const auto start = Clock::now();
  for (long result = 0; result == 0; first = false) {
    auto attr = empty();
    attr.batch.map_fd = static_cast<uint32_t>(map);
    attr.batch.in_batch = first ? 0 : address(&place);
    attr.batch.out_batch = address(&place);
    attr.batch.keys = address(keys.data());
    attr.batch.values = address(values.data());
    attr.batch.count = kBatch;
    result = bpf(BPF_MAP_LOOKUP_BATCH, &attr);
    if (result != 0 && result != -ENOENT) give_up("lookup batch", result);
    found += attr.batch.count;
  }
  const double ns = since(start);
  if (found != entries) give_up("lookup batch: entries are missing", -EIO);
  return ns;
}

double bpftool_ns(const Bpf& bpf, uint64_t entries) {
  const int map = filled_hash(bpf, entries);
  bpf_map_info info{};
  auto attr = empty();
  attr.info.bpf_fd = static_cast<uint32_t>(map);
  attr.info.info = address(&info);
  attr.info.info_len = sizeof info;
  check("info", bpf(BPF_OBJ_GET_INFO_BY_FD, &attr));
  const std::string command = "bpftool -j map dump id " + std::to_string(info.id) + " > /dev/null";
  const auto start = Clock::now();
  if (std::system(command.c_str()) != 0) give_up("bpftool", -ENOENT);
  return since(start);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string how = argv[1], what = argv[2];
  const uint64_t count = std::strtoull(argv[3], nullptr, 10);
  std::unique_ptr<sluice::bpf::Client> client;
  Bpf bpf = [](int cmd, union bpf_attr* attr) -> long {
    const long result = ::syscall(SYS_bpf, cmd, attr, sizeof *attr);
    return result < 0 ? -errno : result;
  };
  if (how == "socket") {
    auto connected = sluice::bpf::Client::connect();
    if (!connected) give_up(connected.error().text.c_str(), -connected.error().code);
    client = std::move(*connected);
    bpf = [&client](int cmd, union bpf_attr* attr) { return client->bpf(cmd, attr, sizeof *attr); };
  }
  double ns = 0;
  if (what == "lookup") ns = lookup_ns(bpf, count);
  if (what == "load") ns = load_ns(bpf, count);
  if (what == "dump") ns = dump_ns(bpf, count);
  if (what == "bpftool") ns = bpftool_ns(bpf, count);
  std::printf("%.3f\n", ns);
  return 0;
}
