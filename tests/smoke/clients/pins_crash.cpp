// Kills the daemon with SIGKILL at random moments while two writers update pinned maps through its socket, starts it again
// and compares every element with a journal: each update is there whole or not at all, and none that was answered is
// missing. usage: pins_crash SLUICE ROUNDS. Exit status 0: all as expected.
#include <signal.h>
#include <sys/wait.h>

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
constexpr uint32_t kWords = 128;
constexpr uint64_t kNothing = 0;  // a deleted key, or an array element never written

struct Kind {
  const char* name;
  uint32_t type;
  bool hash;
  bool per_cpu;
};
constexpr Kind kKinds[] = {{"hash", BPF_MAP_TYPE_HASH, true, false},
                           {"array", BPF_MAP_TYPE_ARRAY, false, false},
                           {"percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, true, true},
                           {"percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, false, true}};

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

// The words of a value as bpf(2) moves it.
size_t value_words(const Kind& kind) {
  if (!kind.per_cpu) return kWords;
  std::ifstream possible("/sys/devices/system/cpu/possible");
  std::string list;
  possible >> list;
  return kWords * (static_cast<size_t>(std::atoi(list.substr(list.find_last_of(",-") + 1).c_str())) + 1);
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
    std::ofstream(folder_ + "/t.yaml") << "api: {socket: " << folder_ << "/sock}\npins: {directory: " << folder_ << "/pins}\n";
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
      if (std::freopen(log.c_str(), "a", stderr) == nullptr || std::freopen("/dev/null", "w", stdout) == nullptr) ::_exit(1);
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
      auto attr = empty_attr();
      attr.map_type = kind.type;
      attr.key_size = 4;
      attr.value_size = kWords * 8;
      attr.max_entries = kKeys * kWriters;
      const long fd = control_->bpf(BPF_MAP_CREATE, &attr, sizeof attr);
      if (fd < 0 || path_call(*control_, BPF_OBJ_PIN, pin(kind), fd) != 0) die(std::string("make ") + kind.name);
      ::close(static_cast<int>(fd));
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
      const auto key = static_cast<uint32_t>(writer * kKeys + random() % kKeys);
      Entry& entry = journal_[kind][key];
      entry.wanted = kKinds[kind].hash && random() % 4 == 0 ? kNothing : random() | 1;
      const long result = put(**client, kKinds[kind], fds[kind], key, entry.wanted);
      alive = result == 0 || (result == -ENOENT && entry.wanted == kNothing);
      if (alive) entry.confirmed = entry.wanted;
      if (!alive && result != -ENOTCONN && result != -EBADF) {
        die(std::string("update of ") + kKinds[kind].name + ": " + std::strerror(static_cast<int>(-result)));
      }
    }
    close_all(fds);
  }

  // Every element against the journal, which from then on says what is there.
  void check() {
    for (size_t i = 0; i < std::size(kKinds); i++) {
      const long fd = path_call(*control_, BPF_OBJ_GET, pin(kKinds[i]), 0);
      if (fd < 0) die(std::string("get ") + kKinds[i].name + ": " + std::strerror(static_cast<int>(-fd)) + "\n" + log());
      for (uint32_t key = 0; key < journal_[i].size(); key++) {
        Entry& entry = journal_[i][key];
        const uint64_t found = word_of(kKinds[i], fd, key);
        if (found != entry.confirmed && found != entry.wanted) {
          die(std::string(kKinds[i].name) + ", key " + std::to_string(key) + ": " + std::to_string(found) + ", not " +
              std::to_string(entry.confirmed) + " or " + std::to_string(entry.wanted));
        }
        entry = {found, found};
      }
      ::close(static_cast<int>(fd));
    }
  }

 private:
  [[nodiscard]] std::string pin(const Kind& kind) const { return folder_ + "/pins/" + kind.name; }
  [[nodiscard]] std::string log() const {
    std::ifstream file(folder_ + "/log.txt");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void close_all(const std::array<long, std::size(kKinds)>& fds) {
    for (const long fd : fds) {
      if (fd > 2) ::close(static_cast<int>(fd));
    }
  }

  static long put(Client& client, const Kind& kind, long fd, uint32_t key, uint64_t word) {
    const std::vector<uint64_t> value(value_words(kind), word);
    auto attr = empty_attr();
    attr.map_fd = static_cast<uint32_t>(fd);
    attr.key = address(&key);
    if (word == kNothing) return client.bpf(BPF_MAP_DELETE_ELEM, &attr, sizeof attr);
    attr.value = address(value.data());
    return client.bpf(BPF_MAP_UPDATE_ELEM, &attr, sizeof attr);
  }

  uint64_t word_of(const Kind& kind, long fd, uint32_t key) {
    std::vector<uint64_t> value(value_words(kind));
    auto attr = empty_attr();
    attr.map_fd = static_cast<uint32_t>(fd);
    attr.key = address(&key);
    attr.value = address(value.data());
    const long result = control_->bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof attr);
    if (result == -ENOENT) return kNothing;
    if (result != 0) die(std::string("look up in ") + kind.name + ": " + std::strerror(static_cast<int>(-result)));
    for (const uint64_t word : value) {
      if (word != value[0]) die(std::string(kind.name) + ", key " + std::to_string(key) + ": half an update");
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
