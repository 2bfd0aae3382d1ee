#include "cli/exec_supervisor.hpp"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include <climits>
#include <cstring>

#include "bpf/client/quick.hpp"
#include "bpf/object/handle.hpp"

namespace sluice::cli {
namespace {

constexpr uint64_t kPage = 4096;
constexpr auto kBpfFileSystem = 0xcafe4a11;  // BPF_FS_MAGIC

// Linux 6.6: the waiting side is woken on this CPU, which spares a wake-up of another on each call.
constexpr unsigned long kSetFlags = _IOW('!', 4, uint64_t);  // SECCOMP_IOCTL_NOTIF_SET_FLAGS
constexpr unsigned long kSyncWakeUp = 1;                     // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP

}  // namespace

ExecSupervisor::ExecSupervisor(UniqueFd listener, std::unique_ptr<bpf::Client> quick,
                               std::unique_ptr<bpf::Client> slow)
    : listener_(std::move(listener)),
      quick_(std::move(quick)),
      slow_(std::move(slow)),
      thread_([this] { run_slow(); }) {
  ::ioctl(listener_.get(), kSetFlags, kSyncWakeUp);  // older kernels: slower
}

ExecSupervisor::~ExecSupervisor() {
  {
    std::lock_guard guard(lock_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void ExecSupervisor::serve_one() {
  Call call;
  std::memset(&call, 0, sizeof call);
  // the task died meanwhile
  if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) return;
  switch (call.data.nr) {
    case __NR_bpf: break;
    case __NR_epoll_ctl: return answer_epoll(call);
    case __NR_perf_event_open: return answer_perf_event_open(call);
    case __NR_mmap: return answer_mmap(call);
    case __NR_ioctl: return answer_ioctl(call);
    // a socket of the host's runs programs of the host's alone
    case __NR_setsockopt: return reply(call, -EOPNOTSUPP);
    default: return answer_statfs(call);
  }
  if (bpf::is_quick(static_cast<int>(call.data.args[0])))
    return answer_bpf(*quick_, quick_tasks_, call);
  {
    std::lock_guard guard(lock_);
    waiting_.push_back(call);
  }
  changed_.notify_one();
}

void ExecSupervisor::run_slow() {
  std::unique_lock guard(lock_);
  for (;;) {
    changed_.wait(guard, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    const Call call = waiting_.front();
    waiting_.pop_front();
    guard.unlock();
    answer_bpf(*slow_, slow_tasks_, call);
    guard.lock();
  }
}

void ExecSupervisor::reply(const Call& call, long value) {
  seccomp_notif_resp response{};
  response.id = call.id;
  if (value < 0) {
    response.error = static_cast<int32_t>(value);
  } else {
    response.val = value;
  }
  ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);
}

// Never for bpf: what the kernel does then is nobody's to decide here.
void ExecSupervisor::let_pass(const Call& call) {
  seccomp_notif_resp response{};
  response.id = call.id;
  response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response);
}

void ExecSupervisor::answer_bpf(bpf::Client& client, Tasks& tasks, const Call& call) {
  ExecProcess process(listener_.get(), call.id, static_cast<pid_t>(call.pid), &tasks);
  const auto& args = call.data.args;
  const auto outcome =
      client.call(process, static_cast<int>(args[0]), args[1], static_cast<unsigned>(args[2]));
  if (!outcome.descriptor) return reply(call, outcome.value);
  give(call, outcome.descriptor.get(), O_CLOEXEC);
}

// Puts a copy of our descriptor into the task's table, and answers the call with its number.
void ExecSupervisor::give(const Call& call, int fd, uint32_t flags) {
  seccomp_notif_addfd add{};
  add.id = call.id;
  add.flags = SECCOMP_ADDFD_FLAG_SEND;
  add.srcfd = static_cast<uint32_t>(fd);
  add.newfd_flags = flags;
  if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 && errno != ENOENT)
    reply(call, -errno);
}

// The pin directory and what lies in it is a BPF file system; of others the kernel tells.
void ExecSupervisor::answer_statfs(const Call& call) {
  ExecProcess process(listener_.get(), call.id, static_cast<pid_t>(call.pid), &quick_tasks_);
  const auto& args = call.data.args;
  const int file = call.data.nr == __NR_fstatfs ? process.file(static_cast<int>(args[0]))
                                                : process.open(args[0], O_PATH);
  struct stat status;
  if (file < 0 || ::fstat(file, &status) != 0) return let_pass(call);
  int directory = file;
  std::string name;
  if (!S_ISDIR(status.st_mode))
    directory = call.data.nr == __NR_statfs ? process.open_directory(args[0], &name) : -1;
  struct statfs answer;
  if (directory < 0 || !quick_->in_pin_directory(directory) || ::fstatfs(file, &answer) != 0)
    return let_pass(call);
  answer.f_type = kBpfFileSystem;
  reply(call, process.write(args[1], &answer, sizeof answer));
}

bool ExecSupervisor::find_map(int fd, bpf_map_info* info) {
  char text[PATH_MAX];
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(self.c_str(), text, sizeof text);
  if (length < 0 || std::string_view(text, static_cast<size_t>(length)).find("bpf-map") ==
                        std::string_view::npos) {
    return false;
  }
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.info.bpf_fd = static_cast<uint32_t>(fd);
  attr.info.info = reinterpret_cast<uintptr_t>(info);
  attr.info.info_len = sizeof *info;
  return quick_->bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof attr) == 0;
}

// What a file cannot refuse by itself, or refuses with another errno. 0: the rest is the kernel's
// to answer.
int ExecSupervisor::check_mapping(int map, uint64_t bytes, uint64_t offset) {
  bpf_map_info info{};
  if (!find_map(map, &info) || !bpf::memory_access(map).writable) return 0;
  // An update without a key fails; with EPERM only if the map is frozen.
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.map_fd = static_cast<uint32_t>(map);
  if (quick_->bpf(BPF_MAP_UPDATE_ELEM, &attr, sizeof attr) == -EPERM) return -EPERM;
  const bool beside_consumer = offset != 0 || bytes > kPage;
  return info.type == BPF_MAP_TYPE_RINGBUF && beside_consumer ? -EPERM : 0;
}

void ExecSupervisor::answer_mmap(const Call& call) {
  ExecProcess process(listener_.get(), call.id, static_cast<pid_t>(call.pid), &quick_tasks_);
  const auto& args = call.data.args;
  const int file = process.file(static_cast<int>(args[4]));
  if (file < 0) return let_pass(call);
  const int error = events_.has(file) ? ExecEvents::map(file, args[1], args[5])
                                      : check_mapping(file, args[1], args[5]);
  return error == 0 ? let_pass(call) : reply(call, error);
}

void ExecSupervisor::answer_epoll(const Call& call) {
  ExecProcess process(listener_.get(), call.id, static_cast<pid_t>(call.pid), &quick_tasks_);
  const auto& args = call.data.args;
  const int ring = process.file(static_cast<int>(args[2]));
  const bool event_ring = ring >= 0 && events_.has(ring);
  bpf_map_info info{};
  const bool is_ring =
      event_ring || (ring >= 0 && find_map(ring, &info) && info.type == BPF_MAP_TYPE_RINGBUF);
  if (!is_ring) return let_pass(call);
  const int epoll = process.file(static_cast<int>(args[0]));
  if (epoll < 0) return reply(call, -EBADF);
  const auto operation = static_cast<int>(args[1]);
  epoll_event event{};
  if (operation != EPOLL_CTL_DEL && process.read(args[3], &event, sizeof event) != 0)
    return reply(call, -EFAULT);
  const auto kind = event_ring ? ExecRings::Kind::perf_event : ExecRings::Kind::ring_buffer;
  reply(call, rings_.control(epoll, operation, ring, kind, &event));
}

// Events that programs write to, on a CPU; others are the kernel's business.
void ExecSupervisor::answer_perf_event_open(const Call& call) {
  ExecProcess process(listener_.get(), call.id, static_cast<pid_t>(call.pid), &quick_tasks_);
  const auto& args = call.data.args;
  perf_event_attr wanted;
  std::memset(&wanted, 0, sizeof wanted);
  const auto task = static_cast<pid_t>(args[1]);
  const auto cpu = static_cast<int>(args[2]);
  const bool ours =
      task == -1 && cpu >= 0 && process.read(args[0], &wanted, PERF_ATTR_SIZE_VER0) == 0 &&
      wanted.type == PERF_TYPE_SOFTWARE && wanted.config == PERF_COUNT_SW_BPF_OUTPUT &&
      (wanted.sample_type & ~uint64_t{PERF_SAMPLE_TIME}) == PERF_SAMPLE_RAW;
  if (!ours) return let_pass(call);
  const UniqueFd ring = events_.open(static_cast<uint32_t>(cpu), wanted);
  if (!ring) return reply(call, -ENOMEM);
  give(call, ring.get(), (args[4] & PERF_FLAG_FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
}

void ExecSupervisor::answer_ioctl(const Call& call) {
  ExecProcess process(listener_.get(), call.id, static_cast<pid_t>(call.pid), &quick_tasks_);
  const int fd = process.file(static_cast<int>(call.data.args[0]));
  return fd >= 0 && events_.has(fd) ? reply(call, 0) : let_pass(call);
}

}  // namespace sluice::cli
