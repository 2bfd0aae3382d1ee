#include "bpf/isa/opcode_new.hpp"
#include "bpf/surface/attachments.hpp"
#include "bpf/surface/attr_new.hpp"
#include "tests/unit/surface/client.hpp"
#include "tests/unit/surface/fake_ports.hpp"

namespace sluice::bpf {
namespace {

using Names = std::vector<std::string>;

struct Links : testing::Test {
  FakePorts ports;
  BpfSurface surface;
  Client client{surface};

  Links() { surface.attachments().set_attacher(&ports); }

  long load(const char* name, uint32_t type = BPF_PROG_TYPE_SOCKET_FILTER) {
    const auto insns = constant_program(1);
    auto attr = Client::program(insns);
    attr.prog_type = type;
    std::strcpy(attr.prog_name, name);
    return client.bpf(BPF_PROG_LOAD, attr);
  }
  long link(long program, uint32_t ifindex = 1, uint32_t flags = 0, long relative = 0) {
    auto attr = empty_attr();
    attr.link_create.prog_fd = static_cast<uint32_t>(program);
    attr.link_create.target_ifindex = ifindex;
    attr.link_create.attach_type = kAttachTcxIngress;
    attr.link_create.flags = flags;
    attr.link_create.target_btf_id = static_cast<uint32_t>(relative);
    return client.bpf(BPF_LINK_CREATE, attr);
  }
  long link_xdp(long program, uint32_t ifindex = 1) {
    auto attr = empty_attr();
    attr.link_create.prog_fd = static_cast<uint32_t>(program);
    attr.link_create.target_ifindex = ifindex;
    attr.link_create.attach_type = BPF_XDP;
    return client.bpf(BPF_LINK_CREATE, attr);
  }
  bpf_link_info info(long fd) {
    bpf_link_info info{};
    auto attr = empty_attr();
    attr.info.bpf_fd = static_cast<uint32_t>(fd);
    attr.info.info = address(&info);
    attr.info.info_len = sizeof info;
    EXPECT_EQ(client.bpf(BPF_OBJ_GET_INFO_BY_FD, attr), 0);
    return info;
  }
};

TEST_F(Links, ProgramsRunInTheOrderTheyWereAttached) {
  const long first = link(load("a"));
  ASSERT_GE(first, 0);
  ASSERT_GE(link(load("b")), 0);
  ASSERT_GE(link(load("c"), 2), 0);
  EXPECT_EQ(ports.running[1], (Names{"a", "b"}));
  EXPECT_EQ(ports.running[2], (Names{"c"}));
  surface.close(static_cast<int>(first));
  EXPECT_EQ(ports.running[1], (Names{"b"}));
}

TEST_F(Links, XdpProgramsRunBeforeTheOthers) {
  ASSERT_GE(link(load("filter")), 0);
  const long first = link_xdp(load("x", BPF_PROG_TYPE_XDP));
  ASSERT_GE(first, 0);
  ASSERT_GE(link(load("classifier", BPF_PROG_TYPE_SCHED_CLS)), 0);
  ASSERT_GE(link_xdp(load("y", BPF_PROG_TYPE_XDP)), 0);
  EXPECT_EQ(ports.running[1], (Names{"x", "y", "filter", "classifier"}));
  EXPECT_EQ(info(first).type, static_cast<uint32_t>(BPF_LINK_TYPE_XDP));
  surface.close(static_cast<int>(first));
  EXPECT_EQ(ports.running[1], (Names{"y", "filter", "classifier"}));
}

TEST_F(Links, APortTakesSixteenProgramsOfAllTypesTogether) {
  for (int i = 0; i < 8; i++) {
    ASSERT_GE(link(load("filter")), 0);
    ASSERT_GE(link_xdp(load("x", BPF_PROG_TYPE_XDP)), 0);
  }
  EXPECT_EQ(link(load("one_more")), -ERANGE);
  EXPECT_EQ(link_xdp(load("one_more", BPF_PROG_TYPE_XDP)), -ERANGE);
}

TEST_F(Links, BeforeAndAfterAreRelativeToAProgramOrALink) {
  const long a = load("a");
  const long link_a = link(a);
  ASSERT_GE(link(load("z")), 0);
  ASSERT_GE(link(load("b"), 1, kAttachBefore, a), 0);
  ASSERT_GE(link(load("c"), 1, kAttachAfter | kAttachByLink, link_a), 0);
  ASSERT_GE(link(load("d"), 1, kAttachBefore | kAttachById, info(link_a).prog_id), 0);
  ASSERT_GE(link(load("e"), 1, kAttachBefore), 0);
  EXPECT_EQ(ports.running[1], (Names{"e", "b", "d", "a", "c", "z"}));
  EXPECT_EQ(link(load("f"), 1, kAttachBefore | kAttachAfter, a), -EINVAL);
  EXPECT_EQ(link(load("g"), 1, kAttachBefore | kAttachById, 9999), -ENOENT);
}

TEST_F(Links, WhatCannotBeAttachedIsRefusedWithTheKernelsErrno) {
  const long a = load("a");
  EXPECT_EQ(link(a, 3), -ENODEV);
  EXPECT_EQ(link(9999), -EBADF);
  EXPECT_EQ(link(a, 1, 1u << 20), -EINVAL);
  EXPECT_EQ(link(load("k", BPF_PROG_TYPE_KPROBE)), -EINVAL);
  EXPECT_EQ(link(load("x", BPF_PROG_TYPE_XDP)), -EINVAL);
  EXPECT_EQ(link_xdp(load("s", BPF_PROG_TYPE_SCHED_CLS)), -EINVAL);
  ASSERT_GE(link(a), 0);
  EXPECT_EQ(link(a), -EEXIST);
}

TEST_F(Links, AFailedAttachLeavesThePortAsItWas) {
  ASSERT_GE(link(load("a")), 0);
  ports.failing = true;
  EXPECT_EQ(link(load("b")), -ENOMEM);
  ports.failing = false;
  ASSERT_GE(link(load("c")), 0);
  EXPECT_EQ(ports.running[1], (Names{"a", "c"}));
}

TEST_F(Links, InfoShowsProgramPortAndAttachType) {
  const long program = load("a");
  const auto shown = info(link(program, 2));
  EXPECT_EQ(shown.type, kLinkTypeTcx);
  EXPECT_EQ(shown.prog_id, 1u);
  TcxLinkInfo where;
  std::memcpy(&where, &shown.xdp, sizeof where);
  EXPECT_EQ(where.ifindex, 2u);
  EXPECT_EQ(where.attach_type, kAttachTcxIngress);
}

TEST_F(Links, AnUpdateReplacesTheProgramInItsPlace) {
  const long a = load("a");
  const long b = load("b");
  const long fd = link(a);
  ASSERT_GE(link(load("z")), 0);
  auto attr = empty_attr();
  attr.link_update.link_fd = static_cast<uint32_t>(fd);
  attr.link_update.new_prog_fd = static_cast<uint32_t>(b);
  attr.link_update.old_prog_fd = static_cast<uint32_t>(b);
  EXPECT_EQ(client.bpf(BPF_LINK_UPDATE, attr), -EINVAL);
  attr.link_update.flags = BPF_F_REPLACE;
  EXPECT_EQ(client.bpf(BPF_LINK_UPDATE, attr), -EPERM);
  attr.link_update.old_prog_fd = static_cast<uint32_t>(a);
  EXPECT_EQ(client.bpf(BPF_LINK_UPDATE, attr), 0);
  EXPECT_EQ(ports.running[1], (Names{"b", "z"}));
}

TEST_F(Links, ADetachedLinkShowsNoPortAndCannotBeUpdated) {
  const long fd = link(load("a"));
  auto attr = empty_attr();
  attr.link_detach.link_fd = static_cast<uint32_t>(fd);
  EXPECT_EQ(client.bpf(BPF_LINK_DETACH, attr), 0);
  EXPECT_EQ(ports.running[1], Names{});
  EXPECT_EQ(info(fd).xdp.ifindex, 0u);
  attr = empty_attr();
  attr.link_update.link_fd = static_cast<uint32_t>(fd);
  attr.link_update.new_prog_fd = static_cast<uint32_t>(load("b"));
  EXPECT_EQ(client.bpf(BPF_LINK_UPDATE, attr), -ENOLINK);
}

TEST_F(Links, TheConfigurationsComeFirstAndStay) {
  auto attachment = std::make_shared<Attachment>();
  attachment->attach_type = kAttachTcxIngress;
  attachment->ifindex = 1;
  attachment->of_configuration = true;
  const long own = load("configured");
  attachment->program = surface.objects().program_of(static_cast<int>(own));
  ASSERT_GE(link(load("a")), 0);
  ASSERT_EQ(surface.attachments().add(attachment, {}), 0);
  ASSERT_GE(link(load("b"), 1, kAttachBefore), 0);
  EXPECT_EQ(ports.running[1], (Names{"configured", "b", "a"}));
  EXPECT_EQ(link(load("c"), 1, kAttachBefore, own), -EPERM);
}

TEST_F(Links, ProgramsAreAttachedDetachedAndCountedWithoutALink) {
  const long a = load("a");
  const long b = load("b");
  auto attr = empty_attr();
  attr.attach_type = kAttachTcxIngress;
  attr.target_fd = 1;
  attr.attach_bpf_fd = static_cast<uint32_t>(a);
  EXPECT_EQ(client.bpf(BPF_PROG_ATTACH, attr), 0);
  EXPECT_EQ(client.bpf(BPF_PROG_ATTACH, attr), -EEXIST);
  attr.attach_bpf_fd = static_cast<uint32_t>(b);
  attr.replace_bpf_fd = static_cast<uint32_t>(a);
  attr.attach_flags = BPF_F_REPLACE;
  EXPECT_EQ(client.bpf(BPF_PROG_ATTACH, attr), 0);
  EXPECT_EQ(ports.running[1], (Names{"b"}));
  uint32_t ids[4] = {};
  attr = empty_attr();
  attr.query.target_fd = 1;
  attr.query.attach_type = kAttachTcxIngress;
  attr.query.prog_ids = address(ids);
  attr.query.prog_cnt = 4;
  EXPECT_EQ(surface.bpf({}, BPF_PROG_QUERY, &attr, sizeof attr), 0);
  EXPECT_EQ(attr.query.prog_cnt, 1u);
  EXPECT_EQ(ids[0], 2u);
  attr = empty_attr();
  attr.attach_type = kAttachTcxIngress;
  attr.target_fd = 1;
  EXPECT_EQ(client.bpf(BPF_PROG_DETACH, attr), 0);
  EXPECT_EQ(client.bpf(BPF_PROG_DETACH, attr), -ENOENT);
}

TEST_F(Links, RunStatisticsAreThePortsAndOutliveTheAttachment) {
  const long program = load("a");
  const long fd = link(program, 2);
  const auto count = [&] {
    bpf_prog_info info{};
    auto attr = empty_attr();
    attr.info.bpf_fd = static_cast<uint32_t>(program);
    attr.info.info = address(&info);
    attr.info.info_len = sizeof info;
    EXPECT_EQ(client.bpf(BPF_OBJ_GET_INFO_BY_FD, attr), 0);
    return info.run_cnt;
  };
  EXPECT_EQ(count(), 20u);
  surface.close(static_cast<int>(fd));
  EXPECT_EQ(count(), 20u);
}

}  // namespace
}  // namespace sluice::bpf
