// `sluice exec -- COMMAND`: an unmodified program whose bpf(2) is the daemon's.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/descriptor_passing.hpp"
#include "cli/exec_filter.hpp"
#include "cli/exec_supervisor.hpp"
#include "cli/messages.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli {
namespace {

constexpr int kNotFound = 127;      // as shells have it
constexpr int kNotExecutable = 126;
constexpr int kForwarded[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM,
                              SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};

// A descriptor, or an errno, over a socket pair.
void send_descriptor(int socket, int fd, int error) {
  send_with_descriptors(socket, {reinterpret_cast<const char*>(&error), sizeof error},
                        {&fd, error == 0 ? size_t{1} : 0});
}

Result<UniqueFd> receive_descriptor(int socket) {
  int error = EIO;
  std::vector<UniqueFd> descriptors;
  const ssize_t count = receive_with_descriptors(
      socket, {reinterpret_cast<char*>(&error), sizeof error}, &descriptors);
  if (count == sizeof error && descriptors.size() == 1) return std::move(descriptors[0]);
  return fail(errno_error(count == sizeof error ? error : EIO, "seccomp user notification"));
}

[[noreturn]] void become(const std::vector<std::string>& command, int socket,
                         const sigset_t& mask) {
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  const int listener = install_exec_filter();
  send_descriptor(socket, listener, listener < 0 ? -listener : 0);
  if (listener < 0) ::_exit(kFailed);
  ::close(listener);
  // The supervisor says when it listens.
  char go = 0;
  if (::read(socket, &go, 1) != 1) ::_exit(kFailed);
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  const int code = errno;
  print_error(errno_error(code, command[0]));
  ::_exit(code == ENOENT ? kNotFound : kNotExecutable);
}

// A signal for the command, or news of it. Those of the terminal reach the command by themselves.
void handle_signal(int signals, pid_t child, int* status) {
  signalfd_siginfo info{};
  if (::read(signals, &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo != SIGCHLD) {
    if (info.ssi_code <= 0 && *status < 0) ::kill(child, static_cast<int>(info.ssi_signo));
    return;
  }
  int found = 0;
  if (*status < 0 && ::waitpid(child, &found, WNOHANG) == child) *status = found;
}

// Until the command has ended and no task that came from it is left.
int supervise(ExecSupervisor& supervisor, int signals, pid_t child) {
  int status = -1;
  bool hung_up = false;
  while (status < 0 || !hung_up) {
    pollfd waiting[] = {{signals, POLLIN, 0}, {hung_up ? -1 : supervisor.listener(), POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0) continue;
    if ((waiting[0].revents & POLLIN) != 0) handle_signal(signals, child, &status);
    if ((waiting[1].revents & POLLIN) != 0) {
      supervisor.serve_one();
    } else if (waiting[1].revents != 0) {
      hung_up = true;
    }
  }
  return status;
}

// The command's end becomes ours.
int exit_status(int status, const sigset_t& mask) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  const int number = WTERMSIG(status);
  ::signal(number, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::raise(number);
  return 128 + number;
}

int exec(const std::vector<std::string>& command) {
  auto quick = bpf::Client::connect();
  auto slow = bpf::Client::connect();
  if (!quick || !slow) {
    return print_error(std::move((quick ? slow : quick).error()).in(command[0] + " not started")),
           kFailed;
  }
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGCHLD);
  for (const int number : kForwarded) sigaddset(&blocked, number);
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  const UniqueFd signals(::signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK));
  int pair[2];
  if (!signals || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return print_error(errno_error(errno, "start " + command[0])), kFailed;
  }
  UniqueFd ours(pair[0]), theirs(pair[1]);
  const pid_t child = ::fork();
  if (child < 0) return print_error(errno_error(errno, "fork")), kFailed;
  if (child == 0) {
    ours.reset();
    become(command, theirs.get(), before);
  }
  theirs.reset();
  auto listener = receive_descriptor(ours.get());
  if (!listener) {
    ::waitpid(child, nullptr, 0);
    return print_error(std::move(listener.error()).in(command[0] + " not started")), kFailed;
  }
  ExecSupervisor supervisor(std::move(*listener), std::move(*quick), std::move(*slow));
  if (::write(ours.get(), "", 1) != 1)
    return print_error(errno_error(errno, "start " + command[0])), kFailed;
  return exit_status(supervise(supervisor, signals.get(), child), before);
}

}  // namespace

void add_exec(CLI::App& app, Action& action) {
  auto* verb =
      app.add_subcommand("exec", "Run COMMAND with the daemon's bpf(2) in place of the kernel's");
  auto command = std::make_shared<std::vector<std::string>>();
  // After "--" all is the command's, options too.
  verb->add_option("COMMAND", *command, "Program and its arguments, behind --")->required();
  verb->callback([command, &action] { action = [command] { return exec(*command); }; });
}

}  // namespace sluice::cli
