// Pinned links after a restart: their ports, their order, their programs.
#include "bpf/isa/opcode_new.hpp"
#include "bpf/surface/attr_new.hpp"
#include "tests/unit/surface/fake_ports.hpp"
#include "tests/unit/surface/pin_fixture.hpp"

namespace sluice::bpf {
namespace {

class PinnedLinks : public Pins {
 protected:
  PinnedLinks() { surface->attachments().set_attacher(&ports); }
  ~PinnedLinks() override { surface->attachments().set_attacher(nullptr); }
  // The next daemon has these ports, and `configured` attached to the first of them.
  void restart_with(std::vector<std::string> names, const char* configured = nullptr) {
    surface->attachments().set_attacher(nullptr);
    restart();
    ports.names = std::move(names);
    ports.running.clear();
    surface->attachments().set_attacher(&ports);
    if (configured != nullptr) {
      auto attachment = std::make_shared<Attachment>();
      attachment->attach_type = kAttachTcxIngress;
      attachment->of_configuration = true;
      attachment->program = surface->objects().program_of(static_cast<int>(load_named(configured)));
      ASSERT_TRUE(surface->attachments().add_configured(1, {attachment}));
    }
    surface->attach_pinned();
  }
  long load_named(const char* name) {
    const auto insns = constant_program(1);
    auto attr = Client::program(insns);
    std::strcpy(attr.prog_name, name);
    return bpf(BPF_PROG_LOAD, attr);
  }
  // A link of a new program, pinned under the program's name; neither has a descriptor left but the
  // link's. `place`: kAttachBefore or kAttachAfter the link `relative`.
  long link(const char* name, uint32_t ifindex, uint32_t place = 0, long relative = 0) {
    const long program = load_named(name);
    auto attr = empty_attr();
    attr.link_create.prog_fd = static_cast<uint32_t>(program);
    attr.link_create.target_ifindex = ifindex;
    attr.link_create.attach_type = kAttachTcxIngress;
    attr.link_create.flags = place | (relative != 0 ? uint32_t{kAttachByLink} : 0);
    const auto relative_fd = static_cast<uint32_t>(relative);
    std::memcpy(reinterpret_cast<char*>(&attr) + kLinkRelativeAt, &relative_fd, sizeof relative_fd);
    const long fd = bpf(BPF_LINK_CREATE, attr);
    EXPECT_GE(fd, 0) << name;
    EXPECT_EQ(pin(bpf, fd, root + "/" + name), 0);
    close(program);
    return fd;
  }
  bpf_link_info info(const char* name) {
    bpf_link_info info{};
    const long fd = get(bpf, root + "/" + name);
    auto attr = empty_attr();
    attr.info.bpf_fd = static_cast<uint32_t>(fd);
    attr.info.info = address(&info);
    attr.info.info_len = sizeof info;
    EXPECT_EQ(bpf(BPF_OBJ_GET_INFO_BY_FD, attr), 0) << name;
    close(fd);
    return info;
  }
  void detach(long fd) {
    auto attr = empty_attr();
    attr.link_detach.link_fd = static_cast<uint32_t>(fd);
    EXPECT_EQ(bpf(BPF_LINK_DETACH, attr), 0);
  }

  using Names = std::vector<std::string>;
  FakePorts ports;
};

TEST_F(PinnedLinks, AreThereAfterEachRestartBehindTheConfigurationInOrderOfCreation) {
  // Pins are found by random names, so that this order is hardly theirs.
  for (const char* name : {"d", "b", "c"}) close(link(name, 1));
  restart_with({"one"}, "configured");
  EXPECT_EQ(ports.running[1], (Names{"configured", "d", "b", "c"}));
  close(link("a", 1));
  restart_with({"one"}, "configured");
  EXPECT_EQ(ports.running[1], (Names{"configured", "d", "b", "c", "a"}));
  ASSERT_EQ(::unlink((root + "/b").c_str()), 0);
  surface->objects().sweep();
  EXPECT_EQ(ports.running[1], (Names{"configured", "d", "c", "a"}));
}

TEST_F(PinnedLinks, KeepThePlaceTheyWereGiven) {
  const long a = link("a", 1);
  const long b = link("b", 1);
  close(link("c", 1, kAttachBefore));
  close(link("d", 1, kAttachAfter, a));
  close(link("e", 2));
  close(link("f", 1, kAttachBefore, b));
  const Names order{"c", "a", "d", "f", "b"};
  ASSERT_EQ(ports.running[1], order);
  close(a);
  close(b);
  restart_with({"one", "two"});
  EXPECT_EQ(ports.running[1], order);
  close(link("g", 1, kAttachBefore));
  restart_with({"one", "two"});
  EXPECT_EQ(ports.running[1], (Names{"g", "c", "a", "d", "f", "b"}));
  EXPECT_EQ(ports.running[2], Names{"e"});
}

TEST_F(PinnedLinks, FollowTheirPortByNameAndWaitInactiveWhileItIsGone) {
  close(link("a", 2));
  restart_with({"two", "one"});
  EXPECT_EQ(ports.running[1], Names{"a"});
  testing::internal::CaptureStderr();
  restart_with({"one"});
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("program a: port two is not there: inactive"), std::string::npos) << log;
  EXPECT_EQ(info("a").xdp.ifindex, 0u);
  EXPECT_EQ(ports.running[1], Names{});
  restart_with({"one", "two"});
  EXPECT_EQ(info("a").xdp.ifindex, 2u);
  EXPECT_EQ(ports.running[2], Names{"a"});
}

TEST_F(PinnedLinks, StayDetachedOnceTheyWereDetached) {
  const long fd = link("a", 1);
  detach(fd);
  close(fd);
  restart_with({"one"});
  EXPECT_EQ(info("a").xdp.ifindex, 0u);
  EXPECT_NE(info("a").prog_id, 0u);
  EXPECT_EQ(ports.running[1], Names{});
}

TEST_F(PinnedLinks, RunTheProgramTheyWereUpdatedTo) {
  const long fd = link("a", 1);
  const long program = load_named("b");
  auto attr = empty_attr();
  attr.link_update.link_fd = static_cast<uint32_t>(fd);
  attr.link_update.new_prog_fd = static_cast<uint32_t>(program);
  ASSERT_EQ(bpf(BPF_LINK_UPDATE, attr), 0);
  close(program);
  close(fd);
  restart_with({"one"});
  EXPECT_EQ(ports.running[1], Names{"b"});
  ASSERT_EQ(::unlink((root + "/a").c_str()), 0);
  surface->objects().sweep();
  EXPECT_EQ(stored(), 0u) << "nothing of the link and its programs is left";
}

TEST_F(PinnedLinks, TheConfigurationsIsNotPinned) {
  auto link = std::make_shared<LinkObject>();
  link->attachment = std::make_shared<Attachment>();
  surface->objects().add(link);
  const int fd = surface->objects().open({link});
  EXPECT_EQ(pin(bpf, fd, root + "/link"), -EPERM);
  close(fd);
}

}  // namespace
}  // namespace sluice::bpf
