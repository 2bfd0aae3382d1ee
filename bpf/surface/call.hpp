// One bpf(2) call on its way to its handler, and the handlers. Private to bpf/surface.
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>

#include "bpf/surface/surface.hpp"

namespace sluice::bpf {

struct BpfSurface::State {
  SurfaceOptions options;
  ObjectTable objects;
  uint32_t map_slots = 1;    // values of a per-CPU element: the host's possible CPUs
  std::mutex test_run_lock;  // one test run at a time: they share a per-CPU slot
};

namespace surface {

struct Call {
  ObjectTable& objects;
  const SurfaceOptions& options;
  uint32_t map_slots;
  std::mutex& test_run_lock;
  const Caller& caller;
  union bpf_attr attr;        // the caller's, zero-extended
  union bpf_attr* user_attr;  // where results go: write_back
  unsigned user_size;

  // Copies a field of attr back to the caller where the caller's attr reaches that far.
  template <class Field>
  void write_back(const Field& field) {
    const auto offset =
        static_cast<size_t>(reinterpret_cast<const char*>(&field) - reinterpret_cast<const char*>(&attr));
    if (offset + sizeof field <= user_size) {
      std::memcpy(reinterpret_cast<char*>(user_attr) + offset, &field, sizeof field);
    }
  }
};

// Each returns a descriptor, 0 or a negative errno.
using Handler = long (*)(Call&);

long map_create(Call& call);
long map_lookup(Call& call);
long map_update(Call& call);
long map_delete(Call& call);
long map_next_key(Call& call);
long map_freeze(Call& call);
long prog_load(Call& call);
long prog_bind_map(Call& call);
long prog_test_run(Call& call);
long prog_next_id(Call& call);
long map_next_id(Call& call);
long btf_next_id(Call& call);
long prog_by_id(Call& call);
long map_by_id(Call& call);
long btf_by_id(Call& call);
long info_by_fd(Call& call);
long btf_load(Call& call);
long link_by_id(Call& call);
long link_next_id(Call& call);

// A u64 of the ABI as the pointer it is.
template <class T = void>
T* pointer(uint64_t address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

// An object's name: letters, digits, '_' and '.', ended by a zero inside the 16 bytes. False: it is not one.
bool read_name(const char (&field)[BPF_OBJ_NAME_LEN], std::string* name);

// The object of one kind behind a descriptor; EBADF where it is closed, EINVAL where it is something else.
template <class Object>
int object_of(const ObjectTable& objects, uint32_t fd, std::shared_ptr<Object>* object, Handle* handle = nullptr) {
  Handle found;
  if (const int error = objects.find(static_cast<int>(fd), &found); error != 0) return error;
  const auto* wanted = std::get_if<std::shared_ptr<Object>>(&found.object);
  if (wanted == nullptr) return -EINVAL;
  *object = *wanted;
  if (handle != nullptr) *handle = found;
  return 0;
}

}  // namespace surface
}  // namespace sluice::bpf
