#include "cli/exec_filter.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace sluice::cli {
namespace {

// Linux 5.19: a supervised call that has been received is interrupted by nothing but death.
constexpr unsigned kWaitKillable = 1u << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
constexpr uint32_t kI386Bpf = 357;
constexpr uint32_t kX32Bit = 0x40000000;

constexpr sock_filter load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset));
}
constexpr sock_filter unless_equal(uint32_t value, uint8_t skip) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip);
}
constexpr sock_filter answer(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
// The low half; the kernel reads both arguments as int.
constexpr size_t argument(int index) {
  return offsetof(seccomp_data, args) + static_cast<size_t>(index) * 8;
}

constexpr sock_filter kFilter[] = {
    load(offsetof(seccomp_data, arch)),
    unless_equal(AUDIT_ARCH_I386, 4),
    load(offsetof(seccomp_data, nr)),
    unless_equal(kI386Bpf, 1),
    answer(SECCOMP_RET_ERRNO | ENOSYS),
    answer(SECCOMP_RET_ALLOW),
    unless_equal(AUDIT_ARCH_X86_64, 1),
    load(offsetof(seccomp_data, nr)),
    unless_equal(kX32Bit | __NR_bpf, 1),
    answer(SECCOMP_RET_ERRNO | ENOSYS),
    unless_equal(__NR_bpf, 1),
    answer(SECCOMP_RET_USER_NOTIF),
    unless_equal(__NR_epoll_ctl, 1),
    answer(SECCOMP_RET_USER_NOTIF),
    unless_equal(__NR_statfs, 1),
    answer(SECCOMP_RET_USER_NOTIF),
    unless_equal(__NR_fstatfs, 1),
    answer(SECCOMP_RET_USER_NOTIF),
    unless_equal(__NR_perf_event_open, 1),
    answer(SECCOMP_RET_USER_NOTIF),
    unless_equal(__NR_ioctl, 4),
    load(argument(1)),
    unless_equal(PERF_EVENT_IOC_ENABLE, 1),
    answer(SECCOMP_RET_USER_NOTIF),
    answer(SECCOMP_RET_ALLOW),
    unless_equal(__NR_mmap, 9),
    load(argument(2)),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 1, 0),
    answer(SECCOMP_RET_ALLOW),
    load(argument(3)),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, MAP_TYPE | MAP_ANONYMOUS),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAP_SHARED, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAP_SHARED_VALIDATE, 1, 0),
    answer(SECCOMP_RET_ALLOW),
    answer(SECCOMP_RET_USER_NOTIF),
    unless_equal(__NR_setsockopt, 5),
    load(argument(1)),
    unless_equal(SOL_SOCKET, 3),
    load(argument(2)),
    unless_equal(SO_ATTACH_BPF, 1),
    answer(SECCOMP_RET_USER_NOTIF),
    answer(SECCOMP_RET_ALLOW),
};

}  // namespace

int install_exec_filter() {
  // Else a set-uid program would leave the supervisor's reach, and an unprivileged user could
  // install nothing.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  const sock_fprog program{static_cast<unsigned short>(sizeof kFilter / sizeof kFilter[0]),
                           const_cast<sock_filter*>(kFilter)};
  const long fd = ::syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
                            SECCOMP_FILTER_FLAG_NEW_LISTENER | kWaitKillable, &program);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

}  // namespace sluice::cli
