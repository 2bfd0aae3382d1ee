#include "base/careful_copy.hpp"

#include <signal.h>
#include <ucontext.h>

// The copy is one instruction, known by its address. It counts in rcx what is still to be done,
// also when it faults.
asm(R"(
  .text
  .p2align 4
  .globl sluice_careful_copy
  .hidden sluice_careful_copy
  .type sluice_careful_copy, @function
sluice_careful_copy:
  mov %rdx, %rcx
  .globl sluice_careful_copy_faults
  .hidden sluice_careful_copy_faults
sluice_careful_copy_faults:
  rep movsb
  .globl sluice_careful_copy_ends
  .hidden sluice_careful_copy_ends
sluice_careful_copy_ends:
  mov %rcx, %rax
  ret
  .size sluice_careful_copy, . - sluice_careful_copy
)");

extern "C" {
size_t sluice_careful_copy(uint64_t to, uint64_t from, size_t size);  // the bytes not copied
extern const char sluice_careful_copy_faults[];
extern const char sluice_careful_copy_ends[];
}

namespace sluice {
namespace {

struct sigaction former;  // a signal handler can be handed nothing, so this is the process's

void on_fault(int number, siginfo_t* info, void* context) {
  greg_t& next = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
  if (next == reinterpret_cast<greg_t>(sluice_careful_copy_faults)) {
    next = reinterpret_cast<greg_t>(sluice_careful_copy_ends);
  } else if ((former.sa_flags & SA_SIGINFO) != 0) {
    former.sa_sigaction(number, info, context);
  } else {
    ::signal(number, SIG_DFL);  // the instruction runs again, and kills
    if (info->si_code <= 0) ::raise(number);  // a process sent it: there is no such instruction
  }
}

// Before main: the first read may be a worker's.
const bool installed = [] {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  return ::sigaction(SIGSEGV, &action, &former) == 0;
}();

}  // namespace

size_t read_carefully(void* to, uint64_t address, size_t size) {
  return installed ? size - sluice_careful_copy(reinterpret_cast<uintptr_t>(to), address, size) : 0;
}

size_t write_carefully(uint64_t address, const void* from, size_t size) {
  return installed ? size - sluice_careful_copy(address, reinterpret_cast<uintptr_t>(from), size)
                   : 0;
}

}  // namespace sluice
