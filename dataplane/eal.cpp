#include "dataplane/eal.hpp"

#include <dirent.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace sluice::dataplane {
namespace {

using FilePtr = std::unique_ptr<FILE, int (*)(FILE*)>;

// Bytes in the machine's free hugepages, over all page sizes.
uint64_t free_hugepage_bytes() {
  static constexpr char kRoot[] = "/sys/kernel/mm/hugepages";
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(kRoot), closedir);
  if (dir == nullptr) return 0;
  uint64_t bytes = 0;
  while (const dirent* entry = readdir(dir.get())) {
    unsigned long kilobytes = 0;
    if (std::sscanf(entry->d_name, "hugepages-%lukB", &kilobytes) != 1) continue;
    const FilePtr file(
        std::fopen((std::string(kRoot) + "/" + entry->d_name + "/free_hugepages").c_str(), "re"),
        std::fclose);
    unsigned long pages = 0;
    if (file != nullptr && std::fscanf(file.get(), "%lu", &pages) == 1)
      bytes += uint64_t{pages} * kilobytes * 1024;
  }
  return bytes;
}

// The main lcore alone is EAL's, floating over all our cores: workers are threads of our own
// (dataplane.cpp).
std::string lcores_argument(const std::vector<unsigned>& cores) {
  std::string argument = "--lcores=0@(";
  for (const unsigned core : cores) argument.append(std::to_string(core)).append(1, ',');
  argument.back() = ')';
  return argument;
}

std::vector<std::string> arguments(const EalSpec& spec, bool hugepages) {
  std::vector<std::string> args = {"sluice",
                                   lcores_argument(spec.cores),
                                   "-m",
                                   std::to_string(spec.memory_mb),
                                   "--no-telemetry",
                                   "--log-level=lib.*:error",
                                   "--log-level=pmd.*:error",
                                   "--file-prefix=sluice-" + std::to_string(getpid())};
  if (hugepages) {
    args.emplace_back("--in-memory");
  } else {
    for (const char* arg : {"--no-huge", "--no-shconf", "--iova-mode=va"}) args.emplace_back(arg);
  }
  if (spec.pci_devices.empty()) args.emplace_back("--no-pci");
  for (const std::string& device : spec.pci_devices) {
    args.emplace_back("-a");
    args.push_back(device);
  }
  args.insert(args.end(), spec.extra_args.begin(), spec.extra_args.end());
  return args;
}

// What rte_eal_cleanup leaves; not empty where extra_args ask for files that other processes share.
void remove_runtime_directory() { ::rmdir(rte_eal_get_runtime_dir()); }

}  // namespace

Result<Eal> Eal::init(const EalSpec& spec) {
  static std::atomic<bool> done = false;
  if (spec.cores.empty()) return fail(EINVAL, "eal: no cores");
  if (spec.memory_mb == 0) return fail(EINVAL, "eal: memory_mb is 0");
  if (done.exchange(true)) return fail(EALREADY, "eal: initialised once in this process already");

  bool hugepages = spec.hugepages != EalSpec::Hugepages::never && !spec.private_instance;
  const bool enough = free_hugepage_bytes() >= uint64_t{spec.memory_mb} << 20;
  if (hugepages && !enough && spec.hugepages == EalSpec::Hugepages::always) {
    done = false;
    return fail(
        ENOMEM,
        "eal: hugepages: always, but fewer than " + std::to_string(spec.memory_mb) +
            " MB are free; reserve some (/proc/sys/vm/nr_hugepages) or say hugepages: auto");
  }
  hugepages = hugepages && enough;
  std::vector<std::string> args = arguments(spec, hugepages);
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  if (rte_eal_init(static_cast<int>(args.size()), argv.data()) < 0) {
    remove_runtime_directory();
    std::string text = "eal: " + std::string(rte_strerror(rte_errno));
    for (const std::string& arg : args) text.append(&arg == args.data() ? " (" : " ").append(arg);
    return fail(rte_errno, text + ")");
  }
  return Eal(hugepages);
}

Eal::~Eal() {
  if (!live_) return;
  rte_eal_cleanup();
  remove_runtime_directory();
}

}  // namespace sluice::dataplane
