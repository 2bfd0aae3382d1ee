// libFuzzer target: any bytes as an object file, opened and loaded through libbpf as `load` does.
// A message, never a crash: what libbpf follows without looking is checked before it
// (object_btf.hpp).
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/unique_fd.hpp"
#include "bpf/loader/libbpf_session.hpp"
#include "bpf/loader/object_file.hpp"

using namespace sluice::bpf;

namespace {

struct CloseObject {
  void operator()(bpf_object* object) const { ::bpf_object__close(object); }
};

// The fuzzer looks for crashes, not for large maps.
bool is_tame(const bpf_object* object) {
  const bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object, map)) != nullptr) {
    if (::bpf_map__max_entries(map) > 65536 || ::bpf_map__value_size(map) > 4096 ||
        ::bpf_map__key_size(map) > 4096)
      return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const sluice::UniqueFd file(memfd_create("object", MFD_CLOEXEC));
  if (!file || write(file.get(), data, size) != static_cast<ssize_t>(size)) std::abort();
  const auto bytes = read_object_file("/proc/self/fd/" + std::to_string(file.get()));
  if (!bytes) {
    if (bytes.error().text.empty()) std::abort();
    return 0;
  }
  BpfSurface surface;
  LibbpfSession session(surface);
  const std::unique_ptr<bpf_object, CloseObject> object(
      ::bpf_object__open_mem(bytes->data(), bytes->size(), nullptr));
  if (object == nullptr || !check_object_maps(object.get()) || !is_tame(object.get())) return 0;
  bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object.get(), map)) != nullptr)
    ::bpf_map__set_pin_path(map, nullptr);
  (void)::bpf_object__load(object.get());
  return 0;
}
