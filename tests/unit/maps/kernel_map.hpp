// A map of the running kernel, reached by bpf(2), with the same operations as ours: the oracle that
// they are compared with.
#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "base/unique_fd.hpp"
#include "bpf/maps/map.hpp"

namespace sluice::bpf {

inline long kernel_bpf(int command, union bpf_attr* attr) {
  const long result = ::syscall(SYS_bpf, command, attr, sizeof *attr);
  return result < 0 ? -errno : result;
}

class KernelMap {
 public:
  // `inner`: the kernel's inner map for a map-in-map, or -1.
  explicit KernelMap(const MapSpec& spec, int inner = -1) {
    union bpf_attr attr {};
    attr.map_type = spec.type;
    attr.key_size = spec.key_size;
    attr.value_size = spec.value_size;
    attr.max_entries = spec.max_entries;
    attr.map_flags = spec.flags;
    attr.map_extra = spec.extra;
    attr.inner_map_fd = inner < 0 ? 0 : static_cast<uint32_t>(inner);
    const long result = kernel_bpf(BPF_MAP_CREATE, &attr);
    error_ = result < 0 ? static_cast<int>(result) : 0;
    if (result >= 0) fd_ = UniqueFd(static_cast<int>(result));
  }

  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  int lookup(const void* key, void* value, uint64_t flags = 0) {
    return element(BPF_MAP_LOOKUP_ELEM, key, value, flags);
  }
  int update(const void* key, const void* value, uint64_t flags) {
    return element(BPF_MAP_UPDATE_ELEM, key, value, flags);
  }
  int erase(const void* key) { return element(BPF_MAP_DELETE_ELEM, key, nullptr, 0); }
  int next_key(const void* key, void* next) { return element(BPF_MAP_GET_NEXT_KEY, key, next, 0); }
  int lookup_and_erase(const void* key, void* value, uint64_t flags) {
    return element(BPF_MAP_LOOKUP_AND_DELETE_ELEM, key, value, flags);
  }
  int lookup_batch(Batch& batch, bool and_erase) {
    union bpf_attr attr {};
    attr.batch.in_batch = reinterpret_cast<uint64_t>(batch.in);
    attr.batch.out_batch = reinterpret_cast<uint64_t>(batch.out);
    attr.batch.keys = reinterpret_cast<uint64_t>(batch.keys);
    attr.batch.values = reinterpret_cast<uint64_t>(batch.values);
    attr.batch.count = batch.count;
    attr.batch.map_fd = static_cast<uint32_t>(fd());
    attr.batch.elem_flags = batch.element_flags;
    const long result =
        kernel_bpf(and_erase ? BPF_MAP_LOOKUP_AND_DELETE_BATCH : BPF_MAP_LOOKUP_BATCH, &attr);
    batch.count = attr.batch.count;
    return static_cast<int>(result);
  }
  [[nodiscard]] uint32_t id() const {
    struct bpf_map_info info {};
    union bpf_attr attr {};
    attr.info.bpf_fd = static_cast<uint32_t>(fd());
    attr.info.info_len = sizeof info;
    attr.info.info = reinterpret_cast<uint64_t>(&info);
    return kernel_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 ? info.id : 0;
  }

 private:
  int element(int command, const void* key, const void* value, uint64_t flags) {
    union bpf_attr attr {};
    attr.map_fd = static_cast<uint32_t>(fd());
    attr.key = reinterpret_cast<uint64_t>(key);
    attr.value = reinterpret_cast<uint64_t>(value);
    attr.flags = flags;
    return static_cast<int>(kernel_bpf(command, &attr));
  }

  UniqueFd fd_;
  int error_ = 0;
};

// True where this process may create maps in the kernel.
inline bool kernel_maps_allowed() {
  MapSpec spec;
  spec.type = BPF_MAP_TYPE_ARRAY;
  spec.key_size = 4;
  spec.value_size = 8;
  spec.max_entries = 1;
  return KernelMap(spec).error() == 0;
}

}  // namespace sluice::bpf
