// The one way in: bpf(2) with the kernel's ABI. The YAML loader, the command line and libbpf are
// all its clients; nobody else touches the object tables. Control thread(s); the call locks for
// itself.
#pragma once

#include <linux/bpf.h>
#include <sys/types.h>

#include <functional>
#include <atomic>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "bpf/jit/jit.hpp"
#include "bpf/maps/grace.hpp"
#include "bpf/object/licence.hpp"
#include "bpf/object/object_table.hpp"
#include "bpf/surface/attachments.hpp"
#include "bpf/surface/process.hpp"

namespace sluice::bpf {

// Why a PROG_LOAD or MAP_CREATE failed, for people. bpf(2) itself has only an errno and the log
// buffer.
struct LoadFailure {
  // One line: `licence "Proprietary" is not GPL-compatible, but it calls bpf_trace_printk
  // (gpl_only)`
  Error error;
  std::string log;      // the verifier's, in the kernel's format, whole
  // reason, at, path, suggestion: one a line; empty where the verifier was not reached
  std::string details;
};

struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  // filled by a PROG_LOAD or MAP_CREATE that fails; null: not wanted
  LoadFailure* failure = nullptr;
  // whose addresses and descriptors the attribute holds; null: this process
  Process* process = nullptr;
  // Set by another thread: nobody waits for the call any more; may be null.
  const std::atomic<bool>* cancelled = nullptr;
  // Where there is one the call must not take long: one that would sets it, has done nothing, and
  // is to be made again by a thread that has time; what it returned means nothing.
  bool* slow = nullptr;

  // Whether to leave the call to a thread that has time: asked before anything long, and before any
  // change.
  [[nodiscard]] bool defer() const {
    if (slow != nullptr) *slow = true;
    return slow != nullptr;
  }
};

// Whose programs get their immediates blinded, as Linux' net.core.bpf_jit_harden says it.
// unprivileged: loaded by others than root
enum class JitHarden : uint8_t { none, unprivileged, all };

struct SurfaceOptions {
  JitHarden jit_harden = JitHarden::none;
  LicencePolicy licence = LicencePolicy::kernel;
  uint32_t max_programs = 1024;
  // A program in machine code, for test runs, tail calls and dumps; empty: they are interpreted,
  // and dumps are empty.
  std::function<Result<std::unique_ptr<jit::CompiledProgram>>(
      std::shared_ptr<const AnnotatedProgram>)>
      compile;
  Grace* grace = nullptr;  // outlives the surface; null: nothing runs programs beside its callers
};

class BpfSurface {
 public:
  explicit BpfSurface(SurfaceOptions options = {});
  ~BpfSurface();
  BpfSurface(const BpfSurface&) = delete;
  BpfSurface& operator=(const BpfSurface&) = delete;

  // As the system call: a descriptor, 0 or a negative errno. `attr` is our own memory, what it
  // points at the caller's (Caller::process). Descriptors are real ones of this process (memfds
  // whose link text holds bpf-map, bpf-prog or btf); close with bpf_close so that the reference
  // goes.
  long bpf(const Caller& caller, int cmd, union bpf_attr* attr, unsigned size);
  void close(int fd);

  // Pins live in `directory`, which exists, from now on: OBJ_PIN and OBJ_GET work there, and what a
  // former daemon's pins refer to is here again. What is damaged is logged with its path and set
  // aside. Once, before the first bpf(). errors: EBUSY (another daemon's), those of opening the
  // directory.
  Status open_pins(const std::string& directory);

  // Attaches the pinned links that a former daemon left, in their order, behind what is attached
  // already. One whose port is gone, or that cannot be attached, stays without a port and is
  // logged. Once, before the first packet. A prog_array that nothing but programs refers to by now
  // lets its own go.
  void attach_pinned();

  [[nodiscard]] ObjectTable& objects();
  // Give it the data plane (Attachments::set_attacher) and the links can attach.
  [[nodiscard]] Attachments& attachments();
  [[nodiscard]] const SurfaceOptions& options() const;

  struct State;  // bpf/surface/call.hpp

 private:
  std::unique_ptr<State> state_;
};

}  // namespace sluice::bpf
