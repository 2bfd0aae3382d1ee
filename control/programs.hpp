// A configuration's programs, loaded and verified, and the chains made of them. Control thread.
// Nothing here opens a port.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "bpf/loader/loader.hpp"
#include "bpf/progs/packet_context.hpp"
#include "config/schema.hpp"
#include "control/compile_server.hpp"
#include "dataplane/chain.hpp"

namespace sluice::control {

struct ProgramEntry {
  const config::Program* config = nullptr;
  bpf::LoadedProgram loaded;
  double load_seconds = 0;  // object file or expression -> verified program
};

// `pins` and `pin:` are the daemon's.
enum class Pins { ignored, used };

class Programs {
 public:
  // Loads every program of `config`, which must outlive this, as must `compiler`; null: the JIT
  // runs in this process. The error has a line for each that fails, with its file:line:column.
  // `grace` (null: no workers) frees what maps let go of; it outlives this too.
  static Result<std::unique_ptr<Programs>> load(const config::Config& config,
                                                CompileServer* compiler = nullptr,
                                                bpf::Grace* grace = nullptr,
                                                Pins pins = Pins::ignored);
  // Puts the pins that the configuration asks for; the last thing before anybody may look.
  Status pin(const config::Config& config);
  // One pcap expression as program "filter", without a configuration.
  static Result<std::unique_ptr<Programs>> load_expression(const std::string& expression, bool jit);

  [[nodiscard]] const std::vector<ProgramEntry>& entries() const { return entries_; }
  [[nodiscard]] const ProgramEntry* find(const std::string& name) const;
  [[nodiscard]] bpf::BpfSurface& surface() const { return *surface_; }

  // The same programs, each under the name its counters go by; those of xdp run first.
  struct Named {
    std::string name;
    std::shared_ptr<const bpf::AnnotatedProgram> program;
  };
  Result<dataplane::Chain> make_chain(std::vector<Named> programs, const bpf::PacketLayout& layout);
  // The programs named, in that order, as one function for packets of `layout`: compiled, or
  // interpreted under `jit: off`.
  Result<dataplane::Chain> make_chain(const std::vector<std::string>& names,
                                      const bpf::PacketLayout& layout);
  // Time that compilation has taken so far.
  [[nodiscard]] double jit_seconds() const { return jit_seconds_.load(); }

 private:
  Programs(bpf::SurfaceOptions options, bool jit, CompileServer* compiler);

  std::vector<ProgramEntry> entries_;
  // ends first: what the entries still hold is the next daemon's
  std::unique_ptr<bpf::BpfSurface> surface_;
  bool jit_ = true;
  CompileServer* compiler_ = nullptr;
  std::atomic<double> jit_seconds_ = 0;
};

// Names of an attach's programs, in order.
std::vector<std::string> chain_names(const config::Attach& attach);

}  // namespace sluice::control
