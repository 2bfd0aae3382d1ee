#include "control/compile_server.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstring>
#include <exception>

#include "base/descriptor_passing.hpp"
#include "bpf/jit/serialise.hpp"

namespace sluice::control {
namespace {

// A compilation's two files: the image to read, and where the child puts an errno (0: done) and
// text or object code.
constexpr int kFiles = 2;
// How a compilation ended, as the server tells it: a wait status, or this.
constexpr int kTimedOut = -1;

bool send_files(int socket, const int (&files)[kFiles]) {
  const char byte = 0;
  return send_with_descriptors(socket, {&byte, 1}, files) == 1;
}

bool receive_files(int socket, std::vector<UniqueFd>* files) {
  char byte;
  files->clear();
  return receive_with_descriptors(socket, {&byte, 1}, files) == 1 && files->size() == kFiles;
}

template <class Byte>
bool read_file(int file, std::vector<Byte>* bytes) {
  struct stat status;
  if (::fstat(file, &status) != 0) return false;
  bytes->resize(static_cast<size_t>(status.st_size));
  size_t done = 0;
  while (done < bytes->size()) {
    const ssize_t count =
        ::pread(file, bytes->data() + done, bytes->size() - done, static_cast<off_t>(done));
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

bool write_file(int file, const void* bytes, size_t size) {
  const auto* from = static_cast<const char*>(bytes);
  while (size > 0) {
    const ssize_t count = ::write(file, from, size);
    if (count <= 0) return false;
    from += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

uint64_t address_space_bytes() {
  uint64_t pages = 0;
  if (FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%lu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

void set_limits(const CompileLimits& limits) {
  const auto set = [](int what, uint64_t value) {
    const rlimit limit{value, value};
    return ::setrlimit(static_cast<__rlimit_resource_t>(what), &limit) == 0;
  };
  const bool done = set(RLIMIT_AS, address_space_bytes() + limits.memory_bytes) &&
                    set(RLIMIT_CPU, limits.cpu_seconds) && set(RLIMIT_CORE, 0) &&
                    set(RLIMIT_FSIZE, limits.memory_bytes);
  if (!done) ::_exit(1);
}

// What LLVM throws for want of memory ends the child, and must not go on where the daemon's own
// code would catch it.
[[noreturn]] void compile_in_child(const std::vector<UniqueFd>& files,
                                   const CompileLimits& limits) noexcept {
  std::set_terminate([] { ::_exit(1); });
  set_limits(limits);
  std::vector<uint8_t> bytes;
  if (!read_file(files[0].get(), &bytes)) ::_exit(1);
  const auto image = bpf::jit::deserialise(bytes);
  const auto code =
      image ? bpf::jit::compile(*image) : Result<bpf::jit::ObjectCode>(fail(image.error()));
  const int error = code ? 0 : code.error().code;
  const char* text = code ? code->elf.data() : code.error().text.data();
  const size_t size = code ? code->elf.size() : code.error().text.size();
  const bool written =
      write_file(files[1].get(), &error, sizeof error) && write_file(files[1].get(), text, size);
  ::_exit(written ? 0 : 1);
}

// The child's wait status, or kTimedOut.
int wait_for(pid_t child, unsigned seconds) {
  const UniqueFd watched(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd ended{watched.get(), POLLIN, 0};
  const bool in_time = ::poll(&ended, 1, static_cast<int>(seconds) * 1000) == 1;
  if (!in_time) ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  return in_time ? status : kTimedOut;
}

[[noreturn]] void serve(int socket, const CompileLimits& limits, pid_t daemon) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != daemon) ::_exit(0);
  ::prctl(PR_SET_NAME, "sluice-compile");
  // Signals for the daemon's process group are the daemon's to act on: the server goes with its
  // socket.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::signal(number, SIG_IGN);
  std::vector<UniqueFd> files;
  while (receive_files(socket, &files)) {
    const pid_t server = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != server) ::_exit(1);
      ::close(socket);
      compile_in_child(files, limits);
    }
    const int status = child < 0 ? kTimedOut : wait_for(child, limits.wall_seconds);
    files.clear();
    if (::send(socket, &status, sizeof status, MSG_NOSIGNAL) != sizeof status) break;
  }
  ::_exit(0);
}

Result<UniqueFd> memory_file(const char* name) {
  UniqueFd file(::memfd_create(name, MFD_CLOEXEC));
  if (!file) return fail(errno_error(errno, "compile: memory file"));
  return file;
}

Error why_dead(int status) {
  if (status == kTimedOut) return {ETIMEDOUT, "the compiler took too long"};
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    if (number == SIGXCPU || number == SIGKILL) return {ETIMEDOUT, "the compiler took too long"};
    return {ENOMEM, std::string("the compiler ended by signal: ") + ::strsignal(number)};
  }
  return {ENOMEM, "the compiler ran out of memory"};
}

}  // namespace

Result<std::unique_ptr<CompileServer>> CompileServer::start(const CompileLimits& limits) {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return fail(errno_error(errno, "compile server"));
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  const pid_t daemon = ::getpid();
  const pid_t server = ::fork();
  if (server < 0) return fail(errno_error(errno, "compile server"));
  if (server == 0) {
    ours.reset();
    serve(theirs.get(), limits, daemon);
  }
  return std::unique_ptr<CompileServer>(new CompileServer(std::move(ours), server));
}

CompileServer::~CompileServer() {
  socket_.reset();
  ::kill(server_, SIGKILL);  // its child goes with it
  ::waitpid(server_, nullptr, 0);
}

Result<bpf::jit::ObjectCode> CompileServer::compile(const bpf::jit::ChainImage& image) {
  const std::vector<uint8_t> bytes = bpf::jit::serialise(image);
  auto input = memory_file("chain-image");
  auto output = memory_file("object-code");
  if (!input || !output) return fail((input ? output : input).error());
  if (!write_file(input->get(), bytes.data(), bytes.size())) {
    return fail(errno_error(errno, "compile: write the image"));
  }

  int status = 0;
  {
    std::lock_guard guard(turn_);
    const int files[kFiles] = {input->get(), output->get()};
    if (!send_files(socket_.get(), files) ||
        ::recv(socket_.get(), &status, sizeof status, MSG_WAITALL) != sizeof status) {
      return fail(EPIPE, "the compile server is gone");
    }
  }
  if (status != 0) return fail(why_dead(status));
  std::vector<char> result;
  int code = 0;
  if (!read_file(output->get(), &result) || result.size() < sizeof code) {
    return fail(ENOMEM, "the compiler gave nothing");
  }
  std::memcpy(&code, result.data(), sizeof code);
  result.erase(result.begin(), result.begin() + sizeof code);
  if (code != 0) return fail(code, std::string(result.begin(), result.end()));
  return bpf::jit::ObjectCode{std::move(result), {}};
}

Result<std::unique_ptr<bpf::Burst>> CompileServer::make_burst(bpf::ChainSpec spec) {
  auto code = compile(bpf::jit::make_image(spec));
  if (!code) return fail(std::move(code.error()));
  return bpf::jit::link(std::move(*code), std::move(spec));
}

Result<std::unique_ptr<bpf::jit::CompiledProgram>> CompileServer::make_program(
    std::shared_ptr<const bpf::AnnotatedProgram> program) {
  auto code = compile(bpf::jit::make_program_image(*program));
  if (!code) return fail(std::move(code.error()));
  return bpf::jit::link_program(std::move(*code), std::move(program));
}

}  // namespace sluice::control
