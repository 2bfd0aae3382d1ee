#include "base/bus_error.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace sluice {
namespace {

constexpr int kMaxGuards = 16384;
constexpr uintptr_t kPage = 4096;

// A signal handler can be handed nothing, so this is the process's.
struct Guard {
  std::atomic<uintptr_t> start{0};  // control threads: rw, handler: ro; 0: not in use
  std::atomic<uintptr_t> end{0};    // the same
  std::atomic<int> file{-1};        // the same
  std::atomic<FileLoss> loss{FileLoss::none};  // handler: w
};
std::array<Guard, kMaxGuards> guards;
std::atomic<int> used{0};  // guards before this one may be in use
std::atomic<uint64_t> lost_pages{0};  // handler: w
std::mutex changes;

// Pages that were replaced, the first ones: a thread that trapped on one beside the thread that
// replaced it must not replace what that one has written since. 0: free.
constexpr size_t kMaxPages = 4096;
std::array<std::atomic<uintptr_t>, kMaxPages> replaced;  // handler: w; control threads: clear

// False: another thread has it, or had it, replaced.
bool claim_page(uintptr_t page) {
  for (auto& place : replaced) {
    uintptr_t there = 0;
    if (place.compare_exchange_strong(there, page)) return true;
    if (there == page) return false;
  }
  return true;
}

void forget_pages(uintptr_t from, uintptr_t to) {
  for (auto& place : replaced) {
    if (place.load() >= from && place.load() < to) place.store(0);
  }
}

Guard* guard_of(uintptr_t address) {
  for (int i = 0; i < used.load(); i++) {
    if (address >= guards[i].start.load() && address < guards[i].end.load()) return &guards[i];
  }
  return nullptr;
}

FileLoss loss_at(const Guard& guard, uintptr_t address) {
  struct stat status;
  if (::fstat(guard.file.load(), &status) != 0) return FileLoss::truncated;
  const bool inside = address - guard.start.load() < static_cast<uintptr_t>(status.st_size);
  return inside ? FileLoss::no_room : FileLoss::truncated;
}

void on_bus_error(int, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Guard* guard = guard_of(address);
  const uintptr_t start = address & ~(kPage - 1);
  auto* page = reinterpret_cast<void*>(start);
  if (guard != nullptr && !claim_page(start)) return;  // mapped by now, or at the next try
  if (guard != nullptr && ::mmap(page, kPage, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
    const FileLoss loss = loss_at(*guard, address);
    if (guard->loss.load() < loss) guard->loss.store(loss);
    lost_pages.fetch_add(1);
    return;
  }
  ::signal(SIGBUS, SIG_DFL);  // the instruction runs again, and kills
}

void install() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace

int guard_bus_errors(void* start, size_t bytes, int file) {
  std::lock_guard lock(changes);
  static const bool installed = (install(), true);
  (void)installed;
  for (int i = 0; i < kMaxGuards; i++) {
    if (guards[i].start.load() != 0) continue;
    guards[i].loss.store(FileLoss::none);
    guards[i].file.store(file);
    guards[i].start.store(reinterpret_cast<uintptr_t>(start));
    guards[i].end.store(reinterpret_cast<uintptr_t>(start) + bytes);
    if (i >= used.load()) used.store(i + 1);
    return i;
  }
  return -1;
}

void unguard_bus_errors(int guard) {
  std::lock_guard lock(changes);
  const uintptr_t ends = guards[guard].end.load();
  guards[guard].end.store(0);
  forget_pages(guards[guard].start.load(), ends);
  guards[guard].start.store(0);
}

FileLoss file_loss(int guard) { return guards[guard].loss.load(); }

uint64_t bus_errors() { return lost_pages.load(); }

}  // namespace sluice
