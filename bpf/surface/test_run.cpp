// PROG_TEST_RUN of packet programs: the packet as a port would deliver it, Ethernet header first. By the interpreter,
// whose R0 is the whole answer; a burst function of the JIT would give the verdict of a chain.
#include <time.h>

#include <algorithm>

#include "base/limits.hpp"
#include "bpf/interp/interp.hpp"
#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {
namespace {

uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

constexpr uint32_t kRepeatMax = 100'000'000;

long check(const Call& call, const ProgramObject& program) {
  const auto& test = call.attr.test;
  if (program.type != BPF_PROG_TYPE_SOCKET_FILTER) return -EOPNOTSUPP;
  if (test.flags != 0 || test.cpu != 0 || test.batch_size != 0) return -EINVAL;
  if (test.ctx_size_in != 0 || test.ctx_size_out != 0 || test.ctx_in != 0 || test.ctx_out != 0) return -EINVAL;
  if (test.data_size_in < kMinFrame || test.data_size_in > kMaxPacket || test.repeat > kRepeatMax) return -EINVAL;
  return 0;
}

}  // namespace

long prog_test_run(Call& call) {
  auto& test = call.attr.test;
  std::shared_ptr<ProgramObject> program;
  if (const int error = call.object_of(test.prog_fd, &program); error != 0) return error;
  if (const long error = check(call, *program); error != 0) return error;
  std::vector<uint8_t> frame;
  if (const int error = call.copy_in(test.data_in, test.data_size_in, &frame); error != 0) return error;

  std::lock_guard guard(call.state.test_run_lock);
  RunEnv env;
  env.slot = call.state.map_slots - 1;  // workers take slots from 0 up
  env.ingress_ifindex = 0;
  const LinearPacket packet{.buffer = frame.data(), .captured = test.data_size_in, .wire_length = test.data_size_in};
  const uint32_t repeat = std::max(test.repeat, 1u);
  const uint64_t start_ns = now_ns();
  for (uint32_t i = 0; i < repeat; i++) {
    PacketContext ctx;
    load_context(&ctx, kLinearLayout, &packet, &env);
    test.retval = static_cast<uint32_t>(interpret(*program->annotated, &ctx));
  }
  test.duration = static_cast<uint32_t>(std::min<uint64_t>((now_ns() - start_ns) / repeat, UINT32_MAX));

  const uint32_t room = test.data_size_out;
  test.data_size_out = test.data_size_in;
  // Room 0 with a buffer is old clients' way to say that it is large enough.
  const uint32_t length = room == 0 ? test.data_size_in : std::min(room, test.data_size_in);
  if (test.data_out != 0 && call.copy_out(test.data_out, frame.data(), length) != 0) return -EFAULT;
  call.write_back(test.data_size_out);
  call.write_back(test.retval);
  call.write_back(test.duration);
  return test.data_out != 0 && length < test.data_size_in ? -ENOSPC : 0;
}

}  // namespace sluice::bpf::surface
