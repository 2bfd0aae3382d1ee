// The command line's verbs with the kernel behind them instead of the daemon: linked without the
// wraps of the loader, so that libbpf's calls are system calls. Tests compare its output with
// bpftool's on the same objects. SLUICE_TEST_PINS: the bpffs to look for pins in.
#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "cli/tool/tool.hpp"

namespace sluice::cli {
namespace {

class KernelConnection final : public Connection {
 public:
  Result<std::string> query(std::string_view) override {
    return fail(ENOENT, "the kernel answers no queries");
  }
  [[nodiscard]] std::string pin_directory() const override {
    const char* directory = std::getenv("SLUICE_TEST_PINS");
    return directory != nullptr ? directory : "";
  }
  std::string load_failure(const std::vector<std::string>&) override { return ""; }
  Result<uint32_t> port_index(const std::string& name) override {
    const uint32_t index = ::if_nametoindex(name.c_str());
    if (index == 0) return fail(ENODEV, "no interface " + name);
    return index;
  }
  std::string port_name(uint32_t index) override {
    char name[IF_NAMESIZE];
    return ::if_indextoname(index, name) != nullptr ? name : "";
  }
  [[nodiscard]] bool writes_perf_events() const override { return true; }
  // As bpftool does: the user stays, the capabilities go.
  Status drop_privileges() override {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
    if (::syscall(SYS_capset, &header, none) != 0)
      return fail(errno_error(errno, "drop capabilities"));
    return {};
  }
};

int run(std::vector<std::string> words) {
  ToolOptions options;
  const auto taken = take_options(&words, &options);
  KernelConnection connection;
  Context context{connection, options, JsonWriter(stdout, options.pretty)};
  if (!taken) return report_error(context, taken.error());
  if (print_help(words)) return 0;
  return run_command(context, std::move(words));
}

}  // namespace
}  // namespace sluice::cli

int main(int argc, char** argv) { return sluice::cli::run({argv + 1, argv + argc}); }
