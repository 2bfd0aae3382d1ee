#include "tests/bench/linux_peer.hpp"

#include <dlfcn.h>

namespace sluice::bench {

Result<std::unique_ptr<LinuxPeer>> make_linux_peer(const std::string& object,
                                                   const std::string& entry, uint32_t filters_as) {
  // DEEPBIND: the module's libbpf must not find its functions in this executable.
  static void* const module = dlopen(SLUICE_LINUX_PEER, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (module == nullptr) return fail(ENOENT, SLUICE_LINUX_PEER " cannot be loaded");
  using Make = LinuxPeer* (*)(const std::string&, const std::string&, uint32_t, std::string*);
  const auto make = reinterpret_cast<Make>(dlsym(module, "sluice_make_linux_peer"));
  std::string why;
  std::unique_ptr<LinuxPeer> peer(make(object, entry, filters_as, &why));
  if (peer == nullptr) return fail(EINVAL, why);
  return peer;
}

}  // namespace sluice::bench
