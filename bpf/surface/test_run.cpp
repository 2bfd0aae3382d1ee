// PROG_TEST_RUN of packet programs: the packet as a port would deliver it, Ethernet header first.
// Contexts in and out: test_context.hpp.
#include <time.h>

#include <algorithm>

#include "base/limits.hpp"
#include "bpf/interp/interp.hpp"
#include "bpf/maps/grace.hpp"
#include "bpf/progs/chain_step.hpp"
#include "bpf/surface/machine_code.hpp"
#include "bpf/surface/test_context.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr uint32_t kRepeatMax = 100'000'000;

uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

long check(const Call& call, const ProgramObject& program) {
  const auto& test = call.attr.test;
  const bool packets = program.type == BPF_PROG_TYPE_SOCKET_FILTER ||
                       program.type == BPF_PROG_TYPE_SCHED_CLS || program.type == BPF_PROG_TYPE_XDP;
  if (!packets) return -int{kEnotsupp};
  if (test.flags != 0 || test.cpu != 0 || test.batch_size != 0) return -EINVAL;
  return test.data_size_in < kMinFrame || test.data_size_in > kMaxPacket || test.repeat > kRepeatMax
             ? -EINVAL
             : 0;
}

// As a signal ends the kernel's.
bool interrupted(const Call& call) {
  return call.caller.cancelled != nullptr && call.caller.cancelled->load(std::memory_order_relaxed);
}

// What maps let go of while a program runs here stays until it is done.
class GraceVisit {
 public:
  explicit GraceVisit(Grace* grace) : grace_(grace) {
    if (grace_ != nullptr) grace_->enter();
  }
  ~GraceVisit() {
    if (grace_ != nullptr) grace_->leave();
  }
  GraceVisit(const GraceVisit&) = delete;
  GraceVisit& operator=(const GraceVisit&) = delete;

 private:
  Grace* grace_;
};

// Runs it on the packet, which it may change, as often as asked for or until interrupted. R0 of the
// last run.
uint64_t run(Call& call, ProgramObject& program, std::vector<uint8_t>& frame, TestContext& context,
             uint64_t* time_ns) {
  const auto code = machine_code_of(call.options, call.caller, program);
  const uint32_t repeat = std::max(call.attr.test.repeat, 1u);
  std::lock_guard guard(call.state.test_run_lock);
  const GraceVisit visit(call.options.grace);
  RunEnv env;
  env.slot = call.state.map_slots - 1;  // workers take slots from 0 up
  context.prepare(&env);
  const auto length = static_cast<uint32_t>(frame.size());
  const LinearPacket packet{
      .buffer = frame.data(), .captured = length, .wire_length = context.wire_length(length)};
  PacketContext received;
  load_context(&received, kLinearLayout, &packet, &env);
  enter_stack(&received);
  uint64_t result = 0;
  const uint64_t start_ns = now_ns();
  for (uint32_t i = 0; i < repeat && !interrupted(call); i++) {
    PacketContext ctx = received;
    context.fill(&ctx);
    result = code != nullptr ? code->code()(&ctx, nullptr) : interpret(*program.annotated, &ctx);
    context.take(ctx);
  }
  *time_ns = now_ns() - start_ns;
  for (const auto& map : program.used_maps()) map->map->wake_clients();
  if (call.state.stats_users.load() != 0) {
    program.run_count += repeat;
    program.run_time_ns += *time_ns;
  }
  return result;
}

}  // namespace

long prog_test_run(Call& call) {
  auto& test = call.attr.test;
  if ((test.ctx_size_in != 0) != (test.ctx_in != 0) ||
      (test.ctx_size_out != 0) != (test.ctx_out != 0))
    return -EINVAL;
  std::shared_ptr<ProgramObject> program;
  if (const int error = call.object_of(test.prog_fd, &program); error != 0) return error;
  if (const long error = check(call, *program); error != 0) return error;
  std::vector<uint8_t> frame;
  if (const int error = call.copy_in(test.data_in, test.data_size_in, &frame); error != 0)
    return error;
  TestContext context(program->type);
  if (const int error = context.read(call, &frame); error != 0) return error;

  uint64_t time_ns = 0;
  test.retval = static_cast<uint32_t>(run(call, *program, frame, context, &time_ns));
  if (interrupted(call)) return -EINTR;
  test.duration =
      static_cast<uint32_t>(std::min<uint64_t>(time_ns / std::max(test.repeat, 1u), UINT32_MAX));

  const uint32_t room = test.data_size_out;
  test.data_size_out = static_cast<uint32_t>(frame.size());
  // Room 0 with a buffer is old clients' way to say that it is large enough.
  const size_t length = room == 0 ? frame.size() : std::min<size_t>(room, frame.size());
  if (test.data_out != 0 && call.copy_out(test.data_out, frame.data(), length) != 0) return -EFAULT;
  call.write_back(test.data_size_out);
  call.write_back(test.retval);
  call.write_back(test.duration);
  if (test.data_out != 0 && length < frame.size()) return -ENOSPC;
  return context.write(call, static_cast<uint32_t>(frame.size()));
}

}  // namespace sluice::bpf::surface
