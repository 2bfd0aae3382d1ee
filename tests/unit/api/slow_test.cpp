// What takes long is done beside the socket's thread: others' lookups are answered before it ends.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/unit/api/api_fixture.hpp"

namespace sluice::control {
namespace {

// Work that begins, and ends when the test lets it.
class LongWork {
 public:
  void do_it() {
    std::unique_lock guard(lock_);
    begun_ = true;
    changed_.notify_all();
    changed_.wait(guard, [this] { return may_end_; });
  }
  void wait_until_begun() {
    std::unique_lock guard(lock_);
    changed_.wait(guard, [this] { return begun_; });
  }
  void let_end() {
    const std::lock_guard guard(lock_);
    may_end_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  bool begun_ = false;
  bool may_end_ = false;
};

LongWork* compilation = nullptr;  // of the test that runs

bpf::SurfaceOptions slow_compiler() {
  bpf::SurfaceOptions options;
  options.compile = [](auto) -> Result<std::unique_ptr<bpf::jit::CompiledProgram>> {
    compilation->do_it();
    return fail(ENOMEM, "interpreted, then");
  };
  return options;
}

class ApiWithSlowCompiler : public Api {
 protected:
  ApiWithSlowCompiler() : Api(slow_compiler()) { compilation = &work_; }

  LongWork work_;
};

long create(bpf::Client& client, uint32_t type) {
  auto attr = empty_attr();
  attr.map_type = type;
  attr.key_size = attr.value_size = 4;
  attr.max_entries = 4;
  return client.bpf(BPF_MAP_CREATE, &attr, sizeof attr);
}

long load_trivial(bpf::Client& client) {
  const std::vector<bpf::Insn> insns{{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1},
                                     {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  auto attr = empty_attr();
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = address(insns.data());
  attr.insn_cnt = static_cast<uint32_t>(insns.size());
  attr.license = address("GPL");
  return client.bpf(BPF_PROG_LOAD, &attr, sizeof attr);
}

long info(bpf::Client& client, long fd) {
  char bytes[256] = {};
  auto attr = empty_attr();
  attr.info.bpf_fd = static_cast<uint32_t>(fd);
  attr.info.info = address(bytes);
  attr.info.info_len = sizeof(bpf_map_info);
  return client.bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof attr);
}

void expect_quick_calls_answered(bpf::Client& client, long map) {
  for (uint32_t key = 0; key < 100; key++) {
    uint64_t value = 7, read = 0;
    const uint32_t place = key % 4;
    EXPECT_EQ(element(client, BPF_MAP_UPDATE_ELEM, map, &place, &value), 0);
    EXPECT_EQ(element(client, BPF_MAP_LOOKUP_ELEM, map, &place, &read), 0);
    EXPECT_EQ(read, 7u);
    EXPECT_EQ(info(client, map), 0);
  }
}

TEST_F(ApiWithSlowCompiler, LookupsGoOnWhileAnUpdateOfAProgArrayCompiles) {
  auto slow = connect();
  auto quick = connect();
  const UniqueFd map(static_cast<int>(create_hash(*quick)));
  const UniqueFd jumps(static_cast<int>(create(*slow, BPF_MAP_TYPE_PROG_ARRAY)));
  const UniqueFd program(static_cast<int>(load_trivial(*slow)));
  ASSERT_TRUE(jumps && program);
  const uint32_t key = 1;
  const auto fd = static_cast<uint32_t>(program.get());
  std::thread updater(
      [&] { EXPECT_EQ(element(*slow, BPF_MAP_UPDATE_ELEM, jumps.get(), &key, &fd), 0); });
  work_.wait_until_begun();
  expect_quick_calls_answered(*quick, map.get());
  uint32_t id = 0;
  // not there before it is compiled
  EXPECT_EQ(element(*quick, BPF_MAP_LOOKUP_ELEM, jumps.get(), &key, &id), -ENOENT);
  work_.let_end();
  updater.join();
  EXPECT_EQ(element(*quick, BPF_MAP_LOOKUP_ELEM, jumps.get(), &key, &id), 0);
  EXPECT_NE(id, 0u);
}

TEST_F(ApiWithSlowCompiler, LookupsGoOnWhileTheInfoOfAProgramCompiles) {
  auto slow = connect();
  auto quick = connect();
  const UniqueFd map(static_cast<int>(create_hash(*quick)));
  const UniqueFd program(static_cast<int>(load_trivial(*slow)));
  std::thread asker([&] { EXPECT_EQ(info(*slow, program.get()), 0); });
  work_.wait_until_begun();
  expect_quick_calls_answered(*quick, map.get());
  work_.let_end();
  asker.join();
}

TEST_F(ApiWithSlowCompiler, AClientThatVanishesDuringALongCallCostsNobodyAnything) {
  auto quick = connect();
  const UniqueFd map(static_cast<int>(create_hash(*quick)));
  {
    const UniqueFd program(static_cast<int>(load_trivial(*quick)));
    const UniqueFd gone = raw();
    bpf::wire::FrameWriter call(bpf::wire::FrameType::call);
    auto attr = empty_attr();
    attr.info.bpf_fd = 3;
    attr.info.info = 4096;
    attr.info.info_len = sizeof(bpf_map_info);
    call.put(bpf::wire::CallHeader{BPF_OBJ_GET_INFO_BY_FD, sizeof attr, 8192, 2, 0});
    call.put_bytes(&attr, sizeof attr);
    call.put(bpf::wire::Answer{{bpf::wire::NeedKind::file, 3, 0, 0}, 0, 0});
    const char zeros[sizeof(bpf_map_info)] = {};
    call.put(
        bpf::wire::Answer{{bpf::wire::NeedKind::memory, 0, 4096, sizeof zeros}, 0, sizeof zeros});
    call.put_bytes(zeros, sizeof zeros);
    const auto frame = std::move(call).finish();
    const int fd = program.get();
    ASSERT_EQ(send_with_descriptors(gone.get(), frame, {&fd, 1}),
              static_cast<ssize_t>(frame.size()));
    work_.wait_until_begun();
  }
  expect_quick_calls_answered(*quick, map.get());
  work_.let_end();
  EXPECT_GE(create_hash(*quick), 0);  // behind it, on the thread of loads
  auto attr = empty_attr();
  EXPECT_EQ(quick->bpf(BPF_PROG_GET_NEXT_ID, &attr, sizeof attr), -ENOENT);
}

TEST_F(Api, LookupsAndLoadsGoOnWhileAQueryIsAnswered) {
  LongWork work;
  query_ = [&work](std::string_view) -> Result<std::string> {
    work.do_it();
    return "done";
  };
  start();
  auto slow = connect();
  auto quick = connect();
  std::thread asker([&] { EXPECT_EQ(slow->query("metrics").value(), "done"); });
  work.wait_until_begun();
  const UniqueFd map(static_cast<int>(create_hash(*quick)));
  expect_quick_calls_answered(*quick, map.get());
  EXPECT_TRUE(UniqueFd(static_cast<int>(load_trivial(*quick))));
  work.let_end();
  asker.join();
}

}  // namespace
}  // namespace sluice::control
