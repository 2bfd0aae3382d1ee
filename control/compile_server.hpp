// The JIT compiler in processes of its own: what verified programs do to LLVM, they do to a process
// that may die. A server is forked before the daemon has threads or descriptors; for each
// compilation it forks a child with limits, which reads the chain's image and writes object code.
// The daemon links that. Any thread; one compilation at a time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <mutex>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "bpf/jit/jit.hpp"

namespace sluice::control {

struct CompileLimits {
  uint64_t memory_bytes = 2ull << 30;  // beyond what the process has when it starts
  unsigned cpu_seconds = 30;
  unsigned wall_seconds = 60;
};

class CompileServer {
 public:
  // Forks: the process must have no other threads yet.
  static Result<std::unique_ptr<CompileServer>> start(const CompileLimits& limits = {});
  ~CompileServer();  // ends the server, and a compilation that still runs
  CompileServer(const CompileServer&) = delete;
  CompileServer& operator=(const CompileServer&) = delete;

  // As jit::compile. Besides: ENOMEM (a child that broke a limit or crashed), ETIMEDOUT, EPIPE (the
  // server is gone).
  Result<bpf::jit::ObjectCode> compile(const bpf::jit::ChainImage& image);

  // As jit::make_burst and jit::make_program: compiled there, linked here.
  Result<std::unique_ptr<bpf::Burst>> make_burst(bpf::ChainSpec spec);
  Result<std::unique_ptr<bpf::jit::CompiledProgram>> make_program(
      std::shared_ptr<const bpf::AnnotatedProgram> program);

 private:
  CompileServer(UniqueFd socket, pid_t server) : socket_(std::move(socket)), server_(server) {}

  std::mutex turn_;
  UniqueFd socket_;
  pid_t server_;
};

}  // namespace sluice::control
