// What a program has taken and must give back: ring buffer records, spin locks.
#include <algorithm>
#include <cerrno>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {

uint32_t Analysis::acquire() {
  const uint32_t id = fresh_id();
  state_.references.push_back({id, insn_});
  return id;
}

// Pointers to what was given back are worth nothing.
bool Analysis::release(uint32_t id) {
  if (std::erase_if(state_.references, [id](const Reference& held) { return held.id == id; }) ==
      0) {
    return fail(EINVAL, "release of unowned reference");
  }
  state_.for_each_register([id](Register& each) {
    if (each.reference == id) each = Register::unknown();
  });
  return true;
}

// where: "BPF_EXIT instruction in main prog", "tail_call", ...
bool Analysis::check_nothing_held(const char* where) {
  if (state_.lock.held)
    return fail(EINVAL, "%s cannot be used inside bpf_spin_lock-ed region", where);
  if (state_.references.empty()) return true;
  const Reference& first = state_.references.front();
  if (input_.log_level != 0) {
    log_ += "Unreleased reference id=" + std::to_string(first.id) +
            " alloc_insn=" + std::to_string(first.insn) + "\n";
  }
  return fail(EINVAL, "%s would lead to reference leak", where);
}

bool Analysis::lock_or_unlock(uint32_t regno, bool lock) {
  const Register& given = reg(regno);
  if (!given.value.is_const()) {
    return fail(EINVAL,
                "R%u doesn't have constant offset. bpf_spin_lock has to be at the constant offset",
                regno);
  }
  const MapSpec& spec = map_spec(given.map_index);
  if (spec.spin_lock_offset < 0) {
    const char* fault =
        spec.btf_value_type_id == 0 ? "has to have BTF in order to use" : "has no valid";
    return fail(EINVAL, "map '%s' %s bpf_spin_lock", spec.name.c_str(), fault);
  }
  const int64_t at = given.offset + static_cast<int64_t>(given.value.value());
  if (at != spec.spin_lock_offset) {
    return fail(EINVAL, "off %lld doesn't point to 'struct bpf_spin_lock' that is at %d",
                static_cast<long long>(at), spec.spin_lock_offset);
  }
  SpinLock& held = state_.lock;
  if (lock) {
    if (held.held) return fail(EINVAL, "Locking two bpf_spin_locks are not allowed");
    held = {true, given.map_index, given.id};
    return true;
  }
  if (!held.held) return fail(EINVAL, "bpf_spin_unlock without taking a lock");
  if (held.map_index != given.map_index || held.id != given.id) {
    return fail(EINVAL, "bpf_spin_unlock of different lock");
  }
  held = {};
  return true;
}

}  // namespace sluice::bpf
