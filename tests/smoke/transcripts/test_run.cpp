// PROG_TEST_RUN. The kernel strips a socket filter's first 14 bytes; what is shown here holds for
// both.
#include "tests/smoke/transcripts/transcript.hpp"

namespace transcript {
namespace {

struct Run {
  std::vector<uint8_t> in = std::vector<uint8_t>(60, 0);
  std::vector<uint8_t> out = std::vector<uint8_t>(200, 0xee);
  uint32_t room = 200;
  uint32_t repeat = 0;
};

Attr attr_of(long fd, Run& run) {
  Attr attr;
  attr->test.prog_fd = static_cast<uint32_t>(fd);
  attr->test.data_size_in = static_cast<uint32_t>(run.in.size());
  attr->test.data_in = address(run.in.data());
  attr->test.data_size_out = run.room;
  attr->test.data_out = address(run.out.data());
  attr->test.repeat = run.repeat;
  return attr;
}

void say(Transcript& t, const std::string& what, Attr attr) {
  if (t.say(what, BPF_PROG_TEST_RUN, attr) < 0) return;
  t.number("  retval", attr->test.retval);
  t.number("  data_size_out", attr->test.data_size_out);
  t.number("  ctx_size_out", attr->test.ctx_size_out);
}

void sizes(Transcript& t, long fd) {
  for (const size_t size : {0u, 1u, 13u, 14u, 60u, 1500u}) {
    Run run;
    run.in.resize(size);
    run.out.resize(2000);
    run.room = 2000;
    say(t, "a packet of " + std::to_string(size), attr_of(fd, run));
  }
  Run run;
  run.room = 20;
  Attr attr = attr_of(fd, run);
  t.say("room for 20", BPF_PROG_TEST_RUN, attr);
  t.number("  data_size_out", attr->test.data_size_out);
  t.bytes("  out", run.out.data(), 24);
  run = Run();
  run.room = 0;
  say(t, "room 0", attr_of(fd, run));
  attr = attr_of(fd, run);
  attr->test.data_out = 0;
  say(t, "no data_out", attr);
  attr->test.data_in = 4096;
  t.say("data_in at a bad address", BPF_PROG_TEST_RUN, attr);
  attr = attr_of(fd, run);
  attr->test.data_out = 4096;
  attr->test.data_size_out = 60;
  t.say("data_out at a bad address", BPF_PROG_TEST_RUN, attr);
  run.repeat = 1000;
  say(t, "1,000 times", attr_of(fd, run));
}

void flags(Transcript& t, long fd) {
  Run run;
  Attr attr = attr_of(fd, run);
  attr->test.flags = 1;
  t.say("flags 1", BPF_PROG_TEST_RUN, attr);
  attr->test.flags = 8;
  t.say("flags 8", BPF_PROG_TEST_RUN, attr);
  attr = attr_of(fd, run);
  attr->test.cpu = 1;
  t.say("cpu 1", BPF_PROG_TEST_RUN, attr);
  attr = attr_of(fd, run);
  attr->test.batch_size = 1;
  t.say("batch_size 1", BPF_PROG_TEST_RUN, attr);
  attr = attr_of(fd, run);
  attr->test.ctx_size_in = 8;
  t.say("ctx_size_in without ctx_in", BPF_PROG_TEST_RUN, attr);
  attr = attr_of(fd, run);
  attr->test.ctx_size_out = 8;
  t.say("ctx_size_out without ctx_out", BPF_PROG_TEST_RUN, attr);
}

void contexts(Transcript& t, long fd) {
  struct Field {
    const char* name;
    size_t offset;
  };
  constexpr Field kFields[] = {{"len", offsetof(__sk_buff, len)},
                               {"pkt_type", offsetof(__sk_buff, pkt_type)},
                               {"mark", offsetof(__sk_buff, mark)},
                               {"queue_mapping", offsetof(__sk_buff, queue_mapping)},
                               {"protocol", offsetof(__sk_buff, protocol)},
                               {"vlan_tci", offsetof(__sk_buff, vlan_tci)},
                               {"priority", offsetof(__sk_buff, priority)},
                               {"cb[0]", offsetof(__sk_buff, cb)},
                               {"hash", offsetof(__sk_buff, hash)},
                               {"tc_classid", offsetof(__sk_buff, tc_classid)},
                               {"data", offsetof(__sk_buff, data)},
                               {"napi_id", offsetof(__sk_buff, napi_id)},
                               {"family", offsetof(__sk_buff, family)},
                               {"tstamp", offsetof(__sk_buff, tstamp)},
                               {"gso_segs", offsetof(__sk_buff, gso_segs)},
                               {"gso_size", offsetof(__sk_buff, gso_size)},
                               {"tc_index", offsetof(__sk_buff, tc_index)}};
  for (const auto& field : kFields) {
    Run run;
    Attr attr = attr_of(fd, run);
    __sk_buff in{};
    __sk_buff out{};
    reinterpret_cast<uint8_t*>(&in)[field.offset] = 1;
    attr->test.ctx_in = address(&in);
    attr->test.ctx_size_in = sizeof in;
    attr->test.ctx_out = address(&out);
    attr->test.ctx_size_out = sizeof out;
    if (t.say(std::string("context with ") + field.name, BPF_PROG_TEST_RUN, attr) != 0) continue;
    t.number("  mark", out.mark);
    t.number("  priority", out.priority);
    t.number("  cb[0]", out.cb[0]);
    t.number("  ctx_size_out", attr->test.ctx_size_out);
  }
  Run run;
  Attr attr = attr_of(fd, run);
  uint8_t larger[sizeof(__sk_buff) + 8] = {};
  attr->test.ctx_in = address(larger);
  attr->test.ctx_size_in = sizeof larger;
  t.say("a larger context", BPF_PROG_TEST_RUN, attr);
  larger[sizeof larger - 1] = 1;
  t.say("a larger context that is not zero", BPF_PROG_TEST_RUN, attr);
  uint8_t small[16] = {};
  attr = attr_of(fd, run);
  attr->test.ctx_out = address(small);
  attr->test.ctx_size_out = sizeof small;
  t.say("a smaller context out", BPF_PROG_TEST_RUN, attr);
  t.number("  ctx_size_out", attr->test.ctx_size_out);
}

}  // namespace

void test_runs(Transcript& t) {
  const long filter = t.load(BPF_PROG_TYPE_SOCKET_FILTER, {move(0, 5), leave()});
  t.line("-- socket_filter");
  sizes(t, filter);
  flags(t, filter);
  contexts(t, filter);
  t.line("-- sched_cls");
  const long classifier = t.load(BPF_PROG_TYPE_SCHED_CLS, {move(0, 2), leave()});
  sizes(t, classifier);
  flags(t, classifier);
  contexts(t, classifier);
  t.line("-- xdp");
  const long xdp = t.load(BPF_PROG_TYPE_XDP, {move(0, 2), leave()});
  sizes(t, xdp);
  t.line("-- kprobe");
  Run run;
  Attr attr = attr_of(t.load(BPF_PROG_TYPE_KPROBE, {move(0, 0), leave()}), run);
  t.say("a kprobe program", BPF_PROG_TEST_RUN, attr);
}

}  // namespace transcript
