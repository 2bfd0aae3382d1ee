#include "bpf/object/sha256.hpp"
#include "bpf/surface/possible_cpus.hpp"
#include "tests/unit/surface/client.hpp"

namespace sluice::bpf {
namespace {

TEST(Licence, LinuxsStringsAreCompatibleAndNothingElse) {
  for (const char* good : {"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL",
                           "Dual MIT/GPL", "Dual MPL/GPL"}) {
    EXPECT_TRUE(is_gpl_compatible(good)) << good;
  }
  for (const char* bad : {"", "gpl", "GPL v3", "GPLv2", "Proprietary", "BSD", "GPL "}) {
    EXPECT_FALSE(is_gpl_compatible(bad)) << bad;
  }
}

TEST(Licence, KernelPolicyRefusesAGplOnlyHelperToAProprietaryProgram) {
  BpfSurface surface;
  LoadFailure failure;
  Client client{surface, {0, 0, &failure}};
  EXPECT_EQ(client.load(tracing_program(), "Proprietary"), -EINVAL);
  EXPECT_EQ(
      failure.error.text,
      "licence \"Proprietary\" is not GPL-compatible, but it calls bpf_trace_printk (gpl_only)");
  EXPECT_GE(client.load(tracing_program(), "Dual BSD/GPL"), 0);
  EXPECT_GE(client.load(constant_program(1), "Proprietary"), 0);
}

TEST(Licence, GplOnlyPolicyRefusesEveryProprietaryProgram) {
  BpfSurface surface({.licence = LicencePolicy::gpl_only});
  LoadFailure failure;
  Client client{surface, {0, 0, &failure}};
  EXPECT_EQ(client.load(constant_program(1), "Proprietary"), -EINVAL);
  EXPECT_NE(failure.error.text.find("Proprietary"), std::string::npos);
  EXPECT_EQ(client.load(constant_program(1), ""), -EINVAL);
  EXPECT_GE(client.load(constant_program(1), "GPL"), 0);
}

struct HardenRow {
  JitHarden harden;
  uid_t uid;
  bool masked;
  bool blinded;
};
constexpr HardenRow kHardenRows[] = {
    {JitHarden::none, 0, false, false},        {JitHarden::none, 1000, true, false},
    {JitHarden::unprivileged, 0, false, false}, {JitHarden::unprivileged, 1000, true, true},
    {JitHarden::all, 0, false, true},          {JitHarden::all, 1000, true, true},
};

TEST(Hardening, GoesByWhoLoadsTheProgramAndByTheOption) {
  for (const HardenRow& row : kHardenRows) {
    BpfSurface surface({.jit_harden = row.harden});
    Client client{surface, {row.uid, 0}};
    const long fd = client.load(constant_program(1));
    ASSERT_GE(fd, 0);
    const auto program = surface.objects().program_of(static_cast<int>(fd));
    ASSERT_NE(program, nullptr);
    EXPECT_EQ(program->annotated->hardening.mask_indices, row.masked) << row.uid;
    EXPECT_EQ(program->annotated->hardening.blinding_seed != 0, row.blinded) << row.uid;
  }
}

TEST(Sha256, GivesTheStandardsDigests) {
  const auto digest_start = [](std::string_view text) {
    const auto digest = sha256({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    return std::vector<uint8_t>(digest.begin(), digest.begin() + 4);
  };
  EXPECT_EQ(digest_start("abc"), (std::vector<uint8_t>{0xba, 0x78, 0x16, 0xbf}));
  EXPECT_EQ(digest_start(""), (std::vector<uint8_t>{0xe3, 0xb0, 0xc4, 0x42}));
  EXPECT_EQ(digest_start("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            (std::vector<uint8_t>{0x24, 0x8d, 0x6a, 0x61}));
}

TEST(PossibleCpus, AreCountedFromTheKernelsLists) {
  EXPECT_EQ(surface::parse_cpu_list("0\n"), 1u);
  EXPECT_EQ(surface::parse_cpu_list("0-3\n"), 4u);
  EXPECT_EQ(surface::parse_cpu_list("0-1,4,6-7\n"), 8u);
  EXPECT_EQ(surface::parse_cpu_list("many"), 0u);
}

struct ProgCommands : testing::Test {
  BpfSurface surface{{.max_programs = 3}};
  Client client{surface};
  char log[4096] = {};

  long load_logged(const std::vector<Insn>& insns, uint32_t level, uint32_t size) {
    auto attr = Client::program(insns);
    attr.log_buf = address(log);
    attr.log_level = level;
    attr.log_size = size;
    return client.bpf(BPF_PROG_LOAD, attr);
  }
};

TEST_F(ProgCommands, ARejectedProgramLeavesLogAndReasonInTheBuffer) {
  const std::vector<Insn> unset = {insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_0, BPF_REG_3),
                                   leave()};
  EXPECT_EQ(load_logged(unset, 1, sizeof log), -EACCES);
  EXPECT_NE(std::strstr(log, "R3 !read_ok"), nullptr) << log;
  EXPECT_NE(std::strstr(log, "reason: "), nullptr) << log;
  EXPECT_NE(std::strstr(log, "at: instruction 0 (bf) r0 = r3"), nullptr) << log;
}

TEST_F(ProgCommands, ALogBufferTooSmallIsEnospcAndEndsWithAZero) {
  const std::vector<Insn> unset = {insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_0, BPF_REG_3),
                                   leave()};
  std::memset(log, 'x', sizeof log);
  EXPECT_EQ(load_logged(unset, 1, 16), -ENOSPC);
  EXPECT_EQ(log[15], '\0');
  EXPECT_EQ(log[16], 'x');
}

TEST_F(ProgCommands, ALogLevelNeedsKnownBitsAndABufferALevel) {
  EXPECT_EQ(load_logged(constant_program(1), 0, sizeof log), -EINVAL);
  EXPECT_EQ(load_logged(constant_program(1), 32, sizeof log), -EINVAL);
  EXPECT_GE(load_logged(constant_program(1), 1, sizeof log), 0);
}

TEST_F(ProgCommands, TheLimitOfProgramsIsEnospcUntilOneIsClosed) {
  const long first = client.load(constant_program(1));
  EXPECT_GE(client.load(constant_program(2)), 0);
  EXPECT_GE(client.load(constant_program(3)), 0);
  EXPECT_EQ(client.load(constant_program(4)), -ENOSPC);
  surface.close(static_cast<int>(first));
  EXPECT_GE(client.load(constant_program(4)), 0);
}

TEST_F(ProgCommands, BadAttributesHaveTheKernelsErrnos) {
  EXPECT_EQ(client.load({}), -E2BIG);
  auto attr = Client::program(constant_program(1));
  attr.prog_type = BPF_PROG_TYPE_LSM;
  EXPECT_EQ(client.bpf(BPF_PROG_LOAD, attr), -EINVAL);
  const auto insns = constant_program(1);
  attr = Client::program(insns);
  attr.license = 0;
  EXPECT_EQ(client.bpf(BPF_PROG_LOAD, attr), -EFAULT);
  attr = Client::program(insns);
  std::strcpy(attr.prog_name, "no spaces");
  EXPECT_EQ(client.bpf(BPF_PROG_LOAD, attr), -EINVAL);
}

TEST_F(ProgCommands, MapsAreFoundByDescriptorAndByIndexAndStayWithTheProgram) {
  const long map = client.create(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
  const int fds[2] = {-1, static_cast<int>(map)};
  const auto with = [](int source, int imm) {
    return std::vector<Insn>{insn(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, source, 0, imm), insn(0),
                             move(BPF_REG_0, 0), leave()};
  };
  const long by_fd = client.load(with(BPF_PSEUDO_MAP_FD, static_cast<int>(map)));
  ASSERT_GE(by_fd, 0);
  const auto indexed = with(BPF_PSEUDO_MAP_IDX, 1);
  auto attr = Client::program(indexed);
  EXPECT_EQ(client.bpf(BPF_PROG_LOAD, attr), -EPROTO);
  attr.fd_array = address(fds);
  EXPECT_GE(client.bpf(BPF_PROG_LOAD, attr), 0);
  EXPECT_EQ(client.load(with(BPF_PSEUDO_MAP_FD, 9999)), -EBADF);
  EXPECT_EQ(client.load(with(BPF_PSEUDO_MAP_FD, static_cast<int>(by_fd))), -EINVAL);
  surface.close(static_cast<int>(map));
  EXPECT_NE(surface.objects().map(1), nullptr);
}

TEST_F(ProgCommands, InfoShowsTagMapsAndInstructions) {
  const long map = client.create(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
  const std::vector<Insn> insns = {
      insn(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, static_cast<int>(map)),
      insn(0), move(BPF_REG_0, 0), leave()};
  auto attr = Client::program(insns);
  std::strcpy(attr.prog_name, "uses_a_map");
  const long fd = client.bpf(BPF_PROG_LOAD, attr);
  ASSERT_GE(fd, 0);
  uint32_t map_id = 0;
  Insn xlated[4] = {};
  bpf_prog_info info{};
  info.nr_map_ids = 1;
  info.map_ids = address(&map_id);
  info.xlated_prog_len = sizeof xlated;
  info.xlated_prog_insns = address(xlated);
  attr = empty_attr();
  attr.info.bpf_fd = static_cast<uint32_t>(fd);
  attr.info.info = address(&info);
  attr.info.info_len = sizeof info;
  ASSERT_EQ(client.bpf(BPF_OBJ_GET_INFO_BY_FD, attr), 0);
  EXPECT_STREQ(info.name, "uses_a_map");
  EXPECT_EQ(info.gpl_compatible, 1u);
  EXPECT_EQ(info.xlated_prog_len, 32u);
  EXPECT_EQ(info.nr_map_ids, 1u);
  EXPECT_EQ(map_id, 1u);
  EXPECT_EQ(xlated[0].imm, 1);
  EXPECT_GT(info.load_time, 0u);
}

TEST_F(ProgCommands, TheTagDoesNotDependOnTheDescriptorsNumber) {
  const auto with = [](int fd) {
    return std::vector<Insn>{insn(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, fd),
                             insn(0), leave()};
  };
  EXPECT_EQ(program_tag(with(3)), program_tag(with(99)));
  EXPECT_NE(program_tag(constant_program(0)), program_tag(constant_program(1)));
}

TEST_F(ProgCommands, ATestRunGivesTheVerdictAndTheWholeFrame) {
  const long fd = client.load(
      {insn(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_0, BPF_REG_1, offsetof(__sk_buff, len)), leave()});
  ASSERT_GE(fd, 0);
  uint8_t frame[60] = {1, 2, 3};
  uint8_t out[60] = {};
  auto attr = empty_attr();
  attr.test.prog_fd = static_cast<uint32_t>(fd);
  attr.test.data_in = address(frame);
  attr.test.data_size_in = sizeof frame;
  attr.test.data_out = address(out);
  attr.test.data_size_out = sizeof out;
  attr.test.repeat = 10;
  EXPECT_EQ(surface.bpf({}, BPF_PROG_TEST_RUN, &attr, sizeof attr), 0);
  EXPECT_EQ(attr.test.retval, 60u);
  EXPECT_EQ(attr.test.data_size_out, 60u);
  EXPECT_EQ(std::memcmp(frame, out, sizeof out), 0);
  attr.test.data_size_out = 20;
  EXPECT_EQ(surface.bpf({}, BPF_PROG_TEST_RUN, &attr, sizeof attr), -ENOSPC);
  EXPECT_EQ(attr.test.data_size_out, 60u);
  attr.test.data_size_in = 13;
  EXPECT_EQ(client.bpf(BPF_PROG_TEST_RUN, attr), -EINVAL);
}

class VisitedGrace final : public Grace {
 public:
  void retire(std::shared_ptr<const void>) override {}
  void wait() override {}
  void enter() override { entered = true; }
  void leave() override {
    visits += entered ? 1 : 0;
    entered = false;
  }
  bool entered = false;
  int visits = 0;
};

TEST(TestRun, IsWaitedForByWhatMapsLetGoOf) {
  VisitedGrace grace;
  BpfSurface surface({.grace = &grace});
  Client client{surface};
  const long fd = client.load(constant_program(3));
  ASSERT_GE(fd, 0);
  EXPECT_EQ(client.test_run(fd), 3u);
  EXPECT_EQ(grace.visits, 1);
  EXPECT_FALSE(grace.entered);
}

TEST_F(ProgCommands, ABoundMapLivesWithTheProgram) {
  const long map = client.create(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
  const long program = client.load(constant_program(1));
  auto attr = empty_attr();
  attr.prog_bind_map.prog_fd = static_cast<uint32_t>(program);
  attr.prog_bind_map.map_fd = static_cast<uint32_t>(map);
  EXPECT_EQ(client.bpf(BPF_PROG_BIND_MAP, attr), 0);
  surface.close(static_cast<int>(map));
  EXPECT_NE(surface.objects().map(1), nullptr);
  surface.close(static_cast<int>(program));
  EXPECT_EQ(surface.objects().map(1), nullptr);
}

TEST_F(ProgCommands, DamagedBtfIsEinval) {
  struct {
    uint16_t magic = 0xeb9f;
    uint8_t version = 1, flags = 0;
    uint32_t header = 24, type_off = 0, type_len = 16, str_off = 16, str_len = 5;
    uint32_t type[4] = {1, 1u << 24, 4, 32};  // int "int"
    char strings[5] = {0, 'i', 'n', 't', 0};
  } __attribute__((packed)) blob;
  const auto load = [&](uint32_t size) {
    auto attr = empty_attr();
    attr.btf = address(&blob);
    attr.btf_size = size;
    return client.bpf(BPF_BTF_LOAD, attr);
  };
  EXPECT_GE(load(sizeof blob), 0);
  EXPECT_EQ(load(sizeof blob - 1), -EINVAL);
  EXPECT_EQ(load(10), -EINVAL);
  blob.type[0] = 5;  // a name beyond the strings
  EXPECT_EQ(load(sizeof blob), -EINVAL);
  blob.type[0] = 1;
  blob.type[1] = (4u << 24) | 100;  // a struct of 100 members
  EXPECT_EQ(load(sizeof blob), -EINVAL);
}

}  // namespace
}  // namespace sluice::bpf
