// Kills the daemon with SIGKILL at random moments while two writers update pinned maps through its
// socket, starts it again and compares every element with a journal: each update is there whole or
// not at all, and none that was answered is missing. What prog_arrays and maps in maps refer to has
// no other reference: it must live on by them, and no longer than they do. usage: pins_crash SLUICE
// ROUNDS. Exit status 0: all as expected.
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "bpf/client/client.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kKeys = 64;  // of each writer, in each map
constexpr uint32_t kWriters = 2;
constexpr uint32_t kReferences = 8;  // so many keys in maps of references
constexpr uint32_t kWords = 128;
constexpr uint64_t kNothing = 0;  // a deleted key, or an array element never written

enum class Holds { words, programs, maps };

struct Kind {
  const char* name;
  uint32_t type;
  bool erasable;
  bool per_cpu = false;
  Holds holds = Holds::words;
};
constexpr Kind kKinds[] = {{"hash", BPF_MAP_TYPE_HASH, true},
                           {"array", BPF_MAP_TYPE_ARRAY, false},
                           {"percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, true, true},
                           {"percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, false, true},
                           {"prog_array", BPF_MAP_TYPE_PROG_ARRAY, true, false, Holds::programs},
                           {"array_of_maps", BPF_MAP_TYPE_ARRAY_OF_MAPS, true, false, Holds::maps},
                           {"hash_of_maps", BPF_MAP_TYPE_HASH_OF_MAPS, true, false, Holds::maps}};

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "FAIL: %s\n", text.c_str());
  std::exit(1);
}

union bpf_attr empty_attr() {
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  return attr;
}

uint64_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

long path_call(Client& client, int command, const std::string& path, long fd) {
  auto attr = empty_attr();
  attr.pathname = address(path.c_str());
  attr.bpf_fd = static_cast<uint32_t>(fd);
  return client.bpf(command, &attr, sizeof attr);
}

long element_call(Client& client, int command, long fd, uint32_t key, const void* value) {
  auto attr = empty_attr();
  attr.map_fd = static_cast<uint32_t>(fd);
  attr.key = address(&key);
  attr.value = address(value);
  return client.bpf(command, &attr, sizeof attr);
}

// A map of one word and a program of a name: what a map of references is given for `word`, and what
// it is known by again.
long make_inner(Client& client, uint64_t word) {
  auto attr = empty_attr();
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = 4;
  attr.value_size = sizeof word;
  attr.max_entries = 1;
  const long fd = client.bpf(BPF_MAP_CREATE, &attr, sizeof attr);
  if (fd < 0) return fd;
  const long error = element_call(client, BPF_MAP_UPDATE_ELEM, fd, 0, &word);
  if (error != 0) ::close(static_cast<int>(fd));
  return error != 0 ? error : fd;
}

long make_program(Client& client, uint64_t word) {
  const bpf_insn insns[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
  auto attr = empty_attr();
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = address(insns);
  attr.insn_cnt = std::size(insns);
  attr.license = address("GPL");
  std::snprintf(attr.prog_name, sizeof attr.prog_name, "%llx",
                static_cast<unsigned long long>(word));
  return client.bpf(BPF_PROG_LOAD, &attr, sizeof attr);
}

long by_id(Client& client, int command, uint32_t id) {
  auto attr = empty_attr();
  attr.map_id = id;
  return client.bpf(command, &attr, sizeof attr);
}

uint64_t word_of_program(Client& client, uint32_t id) {
  const long fd = by_id(client, BPF_PROG_GET_FD_BY_ID, id);
  bpf_prog_info info{};
  auto attr = empty_attr();
  attr.info.bpf_fd = static_cast<uint32_t>(fd);
  attr.info.info = address(&info);
  attr.info.info_len = sizeof info;
  if (fd < 0 || client.bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof attr) != 0)
    die("a program of a prog_array");
  ::close(static_cast<int>(fd));
  return std::strtoull(info.name, nullptr, 16);
}

uint64_t word_of_inner(Client& client, uint32_t id) {
  const long fd = by_id(client, BPF_MAP_GET_FD_BY_ID, id);
  uint64_t word = 0;
  if (fd < 0 || element_call(client, BPF_MAP_LOOKUP_ELEM, fd, 0, &word) != 0) die("a map in a map");
  ::close(static_cast<int>(fd));
  return word;
}

// The words of a value as bpf(2) moves it.
size_t value_words(const Kind& kind) {
  if (!kind.per_cpu) return kWords;
  std::ifstream possible("/sys/devices/system/cpu/possible");
  std::string list;
  possible >> list;
  return kWords *
         (static_cast<size_t>(std::atoi(list.substr(list.find_last_of(",-") + 1).c_str())) + 1);
}

// What is known of one key: the last state that the daemon confirmed, and one that was on its way.
struct Entry {
  uint64_t confirmed = kNothing;
  uint64_t wanted = kNothing;
};
using Journal = std::array<std::array<Entry, kKeys * kWriters>, std::size(kKinds)>;

class Test {
 public:
  explicit Test(std::string sluice) : sluice_(std::move(sluice)) {
    char path[] = "/dev/shm/sluice-crash.XXXXXX";
    if (::mkdtemp(path) == nullptr) die("mkdtemp");
    folder_ = path;
    std::ofstream(folder_ + "/t.yaml")
        << "api: {socket: " << folder_ << "/sock}\npins: {directory: " << folder_ << "/pins}\n";
  }
  ~Test() {
    end(SIGKILL);
    std::filesystem::remove_all(folder_);
  }

  void start() {
    std::filesystem::remove(folder_ + "/sock");
    daemon_ = ::fork();
    if (daemon_ == 0) {
      const std::string log = folder_ + "/log.txt";
      if (std::freopen(log.c_str(), "a", stderr) == nullptr ||
          std::freopen("/dev/null", "w", stdout) == nullptr) {
        ::_exit(1);
      }
      ::execl(sluice_.c_str(), "sluice", "run", (folder_ + "/t.yaml").c_str(), nullptr);
      ::_exit(127);
    }
    for (int i = 0; i < 6000; i++) {
      if (auto client = Client::connect(folder_ + "/sock"); client) {
        control_ = std::move(*client);
        return;
      }
      if (::waitpid(daemon_, nullptr, WNOHANG) == daemon_) die("the daemon does not start");
      ::usleep(10000);
    }
    die("the daemon does not serve");
  }
  void end(int signal) {
    if (daemon_ <= 0) return;
    ::kill(daemon_, signal);
    ::waitpid(daemon_, nullptr, 0);
    daemon_ = 0;
  }

  void make_maps() {
    for (const Kind& kind : kKinds) {
      const long inner = kind.holds == Holds::maps ? make_inner(*control_, 0) : 0;
      auto attr = empty_attr();
      attr.map_type = kind.type;
      attr.key_size = 4;
      attr.value_size = kind.holds == Holds::words ? kWords * 8 : 4;
      attr.max_entries = kKeys * kWriters;
      attr.inner_map_fd = static_cast<uint32_t>(inner);
      const long fd = control_->bpf(BPF_MAP_CREATE, &attr, sizeof attr);
      if (fd < 0 || path_call(*control_, BPF_OBJ_PIN, pin(kind), fd) != 0)
        die(std::string("make ") + kind.name);
      ::close(static_cast<int>(fd));
      if (inner > 0) ::close(static_cast<int>(inner));
    }
  }

  // Until the daemon is gone.
  void write(uint32_t writer, uint64_t seed) {
    auto client = Client::connect(folder_ + "/sock");
    if (!client) return;
    std::array<long, std::size(kKinds)> fds;
    for (size_t i = 0; i < fds.size(); i++) {
      fds[i] = path_call(**client, BPF_OBJ_GET, pin(kKinds[i]), 0);
      if (fds[i] < 0) return close_all(fds);
    }
    std::mt19937_64 random(seed);
    for (bool alive = true; alive;) {
      const size_t kind = random() % fds.size();
      const uint32_t keys = kKinds[kind].holds == Holds::words ? kKeys : kReferences;
      const auto key = static_cast<uint32_t>(writer * kKeys + random() % keys);
      Entry& entry = journal_[kind][key];
      entry.wanted = kKinds[kind].erasable && random() % 4 == 0 ? kNothing : (random() >> 8) | 1;
      const long result = put(**client, kKinds[kind], fds[kind], key, entry.wanted);
      alive = result == 0 || (result == -ENOENT && entry.wanted == kNothing);
      if (alive) entry.confirmed = entry.wanted;
      if (!alive && result != -ENOTCONN && result != -EBADF) {
        die(std::string("update of ") + kKinds[kind].name + ": " +
            std::strerror(static_cast<int>(-result)));
      }
    }
    close_all(fds);
  }

  // Every element against the journal, which from then on says what is there.
  void check() {
    uint64_t maps = std::size(kKinds);
    uint64_t programs = 0;
    for (size_t i = 0; i < std::size(kKinds); i++) {
      const long fd = path_call(*control_, BPF_OBJ_GET, pin(kKinds[i]), 0);
      if (fd < 0) {
        die(std::string("get ") + kKinds[i].name + ": " + std::strerror(static_cast<int>(-fd)) +
            "\n" + log());
      }
      for (uint32_t key = 0; key < journal_[i].size(); key++) {
        Entry& entry = journal_[i][key];
        const uint64_t found = word_of(kKinds[i], fd, key);
        if (found != entry.confirmed && found != entry.wanted) {
          die(std::string(kKinds[i].name) + ", key " + std::to_string(key) + ": " +
              std::to_string(found) + ", not " + std::to_string(entry.confirmed) + " or " +
              std::to_string(entry.wanted));
        }
        entry = {found, found};
        if (found != kNothing && kKinds[i].holds == Holds::maps) maps++;
        if (found != kNothing && kKinds[i].holds == Holds::programs) programs++;
      }
      ::close(static_cast<int>(fd));
    }
    check_records("bpf-map.", maps);
    check_records("bpf-prog.", programs);
  }

 private:
  [[nodiscard]] std::string pin(const Kind& kind) const { return folder_ + "/pins/" + kind.name; }
  [[nodiscard]] std::string log() const {
    std::ifstream file(folder_ + "/log.txt");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // Nothing is left in the store that nothing refers to.
  void check_records(const std::string& kind, uint64_t expected) const {
    uint64_t found = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder_ + "/pins/.store")) {
      const std::string name = file.path().filename();
      if (name.starts_with(kind) && std::ranges::count(name, '.') == 1) found++;
    }
    if (found != expected) {
      die(std::to_string(found) + " records " + kind + ", not " + std::to_string(expected) + "\n" +
          log());
    }
  }

  static void close_all(const std::array<long, std::size(kKinds)>& fds) {
    for (const long fd : fds) {
      if (fd > 2) ::close(static_cast<int>(fd));
    }
  }

  static long put(Client& client, const Kind& kind, long fd, uint32_t key, uint64_t word) {
    if (word == kNothing) return element_call(client, BPF_MAP_DELETE_ELEM, fd, key, nullptr);
    if (kind.holds != Holds::words) return put_reference(client, kind, fd, key, word);
    const std::vector<uint64_t> value(value_words(kind), word);
    return element_call(client, BPF_MAP_UPDATE_ELEM, fd, key, value.data());
  }
  static long put_reference(Client& client, const Kind& kind, long fd, uint32_t key,
                            uint64_t word) {
    const long target =
        kind.holds == Holds::maps ? make_inner(client, word) : make_program(client, word);
    if (target < 0) return target;
    const auto value = static_cast<uint32_t>(target);
    const long result = element_call(client, BPF_MAP_UPDATE_ELEM, fd, key, &value);
    ::close(static_cast<int>(target));
    return result;
  }

  uint64_t word_of(const Kind& kind, long fd, uint32_t key) {
    std::vector<uint64_t> value(value_words(kind));
    const long result = element_call(*control_, BPF_MAP_LOOKUP_ELEM, fd, key, value.data());
    if (result == -ENOENT) return kNothing;
    if (result != 0)
      die(std::string("look up in ") + kind.name + ": " + std::strerror(static_cast<int>(-result)));
    const auto id = static_cast<uint32_t>(value[0]);
    if (kind.holds == Holds::programs) return word_of_program(*control_, id);
    if (kind.holds == Holds::maps) return word_of_inner(*control_, id);
    for (const uint64_t word : value) {
      if (word != value[0])
        die(std::string(kind.name) + ", key " + std::to_string(key) + ": half an update");
    }
    return value[0];
  }

  std::string sluice_;
  std::string folder_;
  pid_t daemon_ = 0;
  std::unique_ptr<Client> control_;
  Journal journal_{};
};

int run(const std::string& sluice, int rounds) {
  Test test(sluice);
  test.start();
  test.make_maps();
  std::random_device device;
  for (int round = 0; round < rounds; round++) {
    std::vector<std::thread> writers;
    for (uint32_t writer = 0; writer < kWriters; writer++) {
      writers.emplace_back([&test, writer, seed = device()] { test.write(writer, seed); });
    }
    ::usleep(20000 + device() % 60000);
    // The last round ends decently.
    test.end(round + 1 < rounds ? SIGKILL : SIGTERM);
    for (auto& writer : writers) writer.join();
    test.start();
    test.check();
  }
  std::printf("%d rounds, every pinned map as the journal says\n", rounds);
  return 0;
}

}  // namespace
}  // namespace sluice::bpf

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return sluice::bpf::run(argv[1], std::atoi(argv[2]));
}
