// One bpf(2) call on its way to its handler, and the handlers. Private to bpf/surface. A handler
// reads everything it needs from the caller, acts, and writes last: behind the socket it may run
// again from its start when a read lacked something.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/surface/attachments.hpp"
#include "bpf/surface/attr_new.hpp"
#include "bpf/surface/surface.hpp"

namespace sluice::bpf {

struct BpfSurface::State {
  SurfaceOptions options;
  std::atomic<uint32_t> stats_users{0};  // open descriptors of ENABLE_STATS
  Attachments attachments;               // outlives the links, which take themselves off it
  ObjectTable objects;
  std::mutex link_order;                   // one link at a time finds its place
  std::atomic<uint64_t> links_created{0};  // LinkObject::sequence of the last
  // use_map, until whoever wants them has them (attach_pinned)
  std::vector<std::shared_ptr<Map>> restored;
  uint32_t map_slots = 1;    // values of a per-CPU element: the host's possible CPUs
  std::mutex test_run_lock;  // one test run at a time: they share a per-CPU slot
};

namespace surface {

struct Call {
  BpfSurface::State& state;
  const Caller& caller;
  Process& process;  // the caller's memory, descriptors and paths
  union bpf_attr* user_attr;  // where results go: write_back
  unsigned user_size;
  alignas(8) std::array<uint8_t, kAttrSize> raw{};  // the caller's attribute, zero-extended

  union bpf_attr& attr = *reinterpret_cast<union bpf_attr*>(raw.data());
  ObjectTable& objects = state.objects;
  const SurfaceOptions& options = state.options;

  // Copies a field of the attribute back to the caller where the caller's reaches that far.
  template <class Field>
  void write_back(const Field& field) {
    const auto offset = static_cast<size_t>(reinterpret_cast<const uint8_t*>(&field) - raw.data());
    if (offset + sizeof field <= user_size) {
      std::memcpy(reinterpret_cast<char*>(user_attr) + offset, &field, sizeof field);
    }
  }

  // Fields that Debian's union bpf_attr does not have (attr_new.hpp), by their place.
  template <class Field>
  [[nodiscard]] Field newer(size_t offset) const {
    Field field;
    std::memcpy(&field, raw.data() + offset, sizeof field);
    return field;
  }
  template <class Field>
  void write_newer(size_t offset, const Field& field) {
    if (offset + sizeof field <= user_size) {
      std::memcpy(reinterpret_cast<char*>(user_attr) + offset, &field, sizeof field);
    }
  }

  // From and to the caller's memory: 0 or -EFAULT.
  int copy_in(uint64_t address, void* to, size_t size) { return process.read(address, to, size); }
  int copy_out(uint64_t address, const void* from, size_t size) {
    return process.write(address, from, size);
  }
  // An array of `count` elements.
  template <class Element>
  int copy_in(uint64_t address, size_t count, std::vector<Element>* to) {
    to->resize(count);
    return process.read(address, to->data(), count * sizeof(Element));
  }
  // A zero-ended string; what is longer than `limit` bytes is cut there.
  int copy_in_string(uint64_t address, size_t limit, std::string* to);

  // What a descriptor of the caller's stands for: EBADF where it is closed, EINVAL where it is
  // something else.
  int handle_of(uint32_t fd, Handle* handle) {
    const int file = process.file(static_cast<int>(fd));
    return file < 0 ? file : objects.find(file, handle);
  }
  // The same for one kind of object.
  template <class Object>
  int object_of(uint32_t fd, std::shared_ptr<Object>* object, Handle* handle = nullptr) {
    Handle found;
    if (const int error = handle_of(fd, &found); error != 0) return error;
    const auto* wanted = std::get_if<std::shared_ptr<Object>>(&found.object);
    if (wanted == nullptr) return -EINVAL;
    *object = *wanted;
    if (handle != nullptr) *handle = std::move(found);
    return 0;
  }
};

// Each returns a descriptor, 0 or a negative errno.
using Handler = long (*)(Call&);

long map_create(Call& call);
long map_lookup(Call& call);
long map_update(Call& call);
long map_delete(Call& call);
long map_next_key(Call& call);
long map_lookup_and_delete(Call& call);
long map_freeze(Call& call);
long map_lookup_batch(Call& call);
long map_lookup_and_delete_batch(Call& call);
long map_update_batch(Call& call);
long map_delete_batch(Call& call);
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

long enable_stats(Call& call);
long task_fd_query(Call& call);
long link_create(Call& call);
long link_update(Call& call);
long link_detach(Call& call);
long prog_attach(Call& call);
long prog_detach(Call& call);
long prog_query(Call& call);

long obj_pin(Call& call);
long obj_get(Call& call);

// After a change of an object that the store may keep: 0, or -errno of writing it.
long save_changed(Call& call, const ObjectRef& object);

// An object's name: letters, digits, '_' and '.', ended by a zero inside the 16 bytes; what lies
// behind does not matter. False: it is not one.
bool read_name(const char (&field)[BPF_OBJ_NAME_LEN], std::string* name);

}  // namespace surface
}  // namespace sluice::bpf
