// The one file with process-wide state: libbpf knows no context, so its calls find their session
// here.
#include "bpf/loader/libbpf_session.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace sluice::bpf {
namespace {

std::mutex turn;                                  // held by the living session
// the session's constructor and destructor: rw, wraps: ro
std::atomic<LibbpfSession*> current_session{nullptr};

// Null also on threads that are not the session's.
LibbpfSession* current() {
  LibbpfSession* session = current_session.load();
  return session != nullptr && session->thread() == std::this_thread::get_id() ? session : nullptr;
}

__attribute__((format(printf, 2, 0))) int print(libbpf_print_level level, const char* format,
                                                va_list arguments) {
  LibbpfSession* session = current();
  if (level != LIBBPF_WARN || session == nullptr) return 0;
  char line[1024];
  std::vsnprintf(line, sizeof line, format, arguments);
  session->hear(line);
  return 0;
}

std::string name_in(const char (&field)[BPF_OBJ_NAME_LEN]) {
  return {field, ::strnlen(field, sizeof field)};
}

}  // namespace

LibbpfSession::LibbpfSession(BpfSurface& surface)
    : turn_(turn), surface_(&surface), thread_(std::this_thread::get_id()) {
  begin();
}

LibbpfSession::LibbpfSession(Client& client)
    : turn_(turn), client_(&client), thread_(std::this_thread::get_id()) {
  begin();
}

void LibbpfSession::begin() {
  current_session.store(this);
  ::libbpf_set_print(print);
  // maps are our own memory: the process's limits are nobody's business here
  ::libbpf_set_memlock_rlim(0);
}

LibbpfSession::~LibbpfSession() {
  current_session.store(nullptr);
  if (surface_ != nullptr) surface_->objects().sweep();
}

long LibbpfSession::pass_on(int cmd, union bpf_attr* attr, unsigned size, LoadFailure* failure) {
  if (surface_ != nullptr)
    return surface_->bpf({::geteuid(), ::getegid(), failure}, cmd, attr, size);
  const long result = client_->bpf(cmd, attr, size);
  if (result >= 0 || failure == nullptr) return result;
  failure->error = {static_cast<int>(-result), {}};
  // libbpf repeats a refused load with a log buffer: the last failure has the text.
  if (cmd == BPF_PROG_LOAD && attr->log_level != 0 && attr->log_buf != 0) {
    failure->log = reinterpret_cast<const char*>(static_cast<uintptr_t>(attr->log_buf));
  }
  return result;
}

bool LibbpfSession::may_pin_in(const char* directory) const {
  if (client_ == nullptr) return false;
  const UniqueFd fd(::open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC));
  return fd && client_->in_pin_directory(fd.get());
}

long LibbpfSession::bpf(int cmd, union bpf_attr* attr, unsigned size) {
  Failed* record = cmd == BPF_PROG_LOAD ? &program_ : cmd == BPF_MAP_CREATE ? &map_ : nullptr;
  if (record == nullptr) return pass_on(cmd, attr, size, nullptr);
  const std::string name = name_in(cmd == BPF_PROG_LOAD ? attr->prog_name : attr->map_name);
  LoadFailure failure;
  // Only skeletons map global data, and none runs in our own process. Refusing the flag would not
  // do: libbpf 1.1 answers a refused probe by *toggling* the flag on every map, which sets it where
  // it was not (objects with nothing but string literals).
  union bpf_attr own;
  std::memset(&own, 0, sizeof own);
  std::memcpy(&own, attr, std::min<size_t>(size, sizeof own));
  if (cmd == BPF_MAP_CREATE && surface_ != nullptr) own.map_flags &= ~uint32_t{BPF_F_MMAPABLE};
  const long result = pass_on(cmd, &own, std::min<unsigned>(size, sizeof own), &failure);
  // A map that fails with BTF is tried again without: the later success does not concern another
  // map's failure.
  if (result < 0 || record->name == name) *record = {name, std::move(failure), result < 0};
  return result;
}

void LibbpfSession::hear(std::string message) {
  constexpr std::string_view kPrefix = "libbpf: ";
  if (message.starts_with(kPrefix)) message.erase(0, kPrefix.size());
  while (!message.empty() && message.back() == '\n') message.pop_back();
  // The verifier's log comes with the failure, whole and not between libbpf's rules.
  if (message.empty() || message.find("LOG --") != std::string::npos) return;
  messages_ += messages_.empty() ? message : "; " + message;
}

const LoadFailure* LibbpfSession::failure_of(const std::string& name) const {
  const bool same = program_.failed && program_.name == name.substr(0, BPF_OBJ_NAME_LEN - 1);
  return same ? &program_.failure : nullptr;
}

const LoadFailure* LibbpfSession::map_failure(std::string* name) const {
  if (!map_.failed || map_.name.starts_with("libbpf_")) return nullptr;
  *name = map_.name;
  return &map_.failure;
}

std::string LibbpfSession::take_messages() { return std::exchange(messages_, {}); }

}  // namespace sluice::bpf

// The linker sends libbpf's calls here (--wrap, carried by loader_dep).
extern "C" {

long __real_syscall(long number, ...);
int __real_uname(utsname* name);
int __real_statfs64(const char* path, struct statfs64* result);
gzFile __real_gzopen64(const char* path, const char* mode);

long __wrap_syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long argument[6];
  for (long& value : argument) value = va_arg(list, long);
  va_end(list);
  if (number != __NR_bpf) {
    return __real_syscall(number, argument[0], argument[1], argument[2], argument[3], argument[4],
                          argument[5]);
  }
  sluice::bpf::LibbpfSession* session = sluice::bpf::current();
  const long result = session == nullptr
                          ? -ENOSYS
                          : session->bpf(static_cast<int>(argument[0]),
                                         reinterpret_cast<union bpf_attr*>(argument[1]),
                                         static_cast<unsigned>(argument[2]));
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

// LINUX_KERNEL_VERSION of a program's .kconfig: the kernel whose behaviour we give, not the host's.
int __wrap_uname(utsname* name) {
  const int result = __real_uname(name);
  if (result == 0 && sluice::bpf::current() != nullptr)
    std::snprintf(name->release, sizeof name->release, "6.18.0");
  return result;
}

// libbpf pins where a BPF file system is: the daemon's pin directory is one.
int __wrap_statfs64(const char* path, struct statfs64* result) {
  constexpr auto kBpfFileSystem = 0xcafe4a11;  // BPF_FS_MAGIC
  const int status = __real_statfs64(path, result);
  const sluice::bpf::LibbpfSession* session = sluice::bpf::current();
  if (status == 0 && session != nullptr && session->may_pin_in(path))
    result->f_type = kBpfFileSystem;
  return status;
}

// CONFIG_ values of .kconfig: libbpf finds the host's configuration empty and keeps to the one it
// is given.
gzFile __wrap_gzopen64(const char* path, const char* mode) {
  return __real_gzopen64(sluice::bpf::current() != nullptr ? "/dev/null" : path, mode);
}

}  // extern "C"
