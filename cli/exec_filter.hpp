// The seccomp filter of `sluice exec`: which system calls of a command go to its supervisor. Called
// in the child between fork and exec.
#pragma once

namespace sluice::cli {

// From here on bpf, statfs, fstatfs, epoll_ctl, setsockopt(SO_ATTACH_BPF) and mmap of files, shared
// and writable, of this task, and of all that come from it, wait for the supervisor; without one
// they fail with ENOSYS. bpf of other ABIs (i386, x32) fails with ENOSYS. Returns the supervisor's
// descriptor or -errno.
int install_exec_filter();

}  // namespace sluice::cli
