// The kernel's rules for pins. The table runs on a bpffs of the kernel too, where this process may
// mount one.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "tests/unit/surface/pin_fixture.hpp"

namespace sluice::bpf {
namespace {

// One rule a row: what is done, in a pin directory with `map` (a pinned map), `prog` (a program),
// `dir/`.
struct Rule {
  const char* name;
  long expected;
  long (*act)(const BpfCall& bpf, const std::string& root, long map, long prog);
};

const Rule kRules[] = {
    {"onto a pin", -EEXIST,
     [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/map"); }},
    {"onto a directory", -EEXIST,
     [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/dir"); }},
    {"onto a symlink", -EEXIST,
     [](auto& bpf, auto& root, long map, long) {
       EXPECT_EQ(::symlink("nowhere", (root + "/link").c_str()), 0);
       return pin(bpf, map, root + "/link");
     }},
    {"outside", -EPERM,
     [](auto& bpf, auto&, long map, long) { return pin(bpf, map, "/tmp/sluice-no-pin"); }},
    {"a dot in the name", -EPERM,
     [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/a.b"); }},
    {"no such directory", -ENOENT,
     [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/no/x"); }},
    {"empty path", -ENOENT, [](auto& bpf, auto&, long map, long) { return pin(bpf, map, ""); }},
    {"a slash at the end", -ENOENT,
     [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/x/"); }},
    {"through a pin", -ENOTDIR,
     [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/map/x"); }},
    {"a long name", -ENAMETOOLONG,
     [](auto& bpf, auto& root, long map, long) {
       return pin(bpf, map, root + "/" + std::string(256, 'x'));
     }},
    {"a bad pointer", -EFAULT,
     [](auto& bpf, auto&, long map, long) {
       auto attr = empty_attr();
       attr.pathname = 16;
       attr.bpf_fd = static_cast<uint32_t>(map);
       return bpf(BPF_OBJ_PIN, attr);
     }},
    {"pin a bad descriptor", -EINVAL,
     [](auto& bpf, auto& root, long, long) { return pin(bpf, 999, root + "/x"); }},
    {"pin a foreign descriptor", -EINVAL,
     [](auto& bpf, auto& root, long, long) { return pin(bpf, 0, root + "/x"); }},
    {"pin with flags", -EINVAL,
     [](auto& bpf, auto& root, long map, long) {
       return pin(bpf, map, root + "/x", BPF_F_RDONLY);
     }},
    {"get with a descriptor", -EINVAL,
     [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/map", 0, 1); }},
    {"get both ways", -EINVAL,
     [](auto& bpf, auto& root, long, long) {
       return get(bpf, root + "/map", BPF_F_RDONLY | BPF_F_WRONLY);
     }},
    {"get with an unknown flag", -EINVAL,
     [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/map", 1); }},
    {"get what is not there", -ENOENT,
     [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/nobody"); }},
    {"get an empty path", -ENOENT, [](auto& bpf, auto&, long, long) { return get(bpf, ""); }},
    {"get a directory", -EACCES,
     [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/dir"); }},
    {"get a file that is no pin", -EACCES,
     [](auto& bpf, auto&, long, long) { return get(bpf, "/etc/passwd"); }},
    {"get through a pin", -ENOTDIR,
     [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/map/x"); }},
    {"get a program read-only", 0,
     [](auto& bpf, auto& root, long, long prog) -> long {
       EXPECT_EQ(pin(bpf, prog, root + "/prog"), 0);
       const long fd = get(bpf, root + "/prog", BPF_F_RDONLY);
       ::close(static_cast<int>(fd));
       return fd < 0 ? fd : 0;
     }},
    {"update through a read-only get", -EPERM,
     [](auto& bpf, auto& root, long, long) {
       const long fd = get(bpf, root + "/map", BPF_F_RDONLY);
       uint64_t value = 0;
       const long result = element(bpf, BPF_MAP_UPDATE_ELEM, fd, 1, &value);
       ::close(static_cast<int>(fd));
       return result;
     }},
    {"look up through a write-only get", -EPERM,
     [](auto& bpf, auto& root, long, long) {
       const long fd = get(bpf, root + "/map", BPF_F_WRONLY);
       uint64_t value = 0;
       const long result = element(bpf, BPF_MAP_LOOKUP_ELEM, fd, 1, &value);
       ::close(static_cast<int>(fd));
       return result;
     }},
    {"a second name by link, then get", 0,
     [](auto& bpf, auto& root, long, long) -> long {
       EXPECT_EQ(::link((root + "/map").c_str(), (root + "/second").c_str()), 0);
       const long fd = get(bpf, root + "/second");
       ::close(static_cast<int>(fd));
       return fd < 0 ? fd : 0;
     }},
    {"rename into a directory, then get", 0,
     [](auto& bpf, auto& root, long, long) -> long {
       EXPECT_EQ(::rename((root + "/second").c_str(), (root + "/dir/moved").c_str()), 0);
       const long fd = get(bpf, root + "/dir/moved");
       ::close(static_cast<int>(fd));
       return fd < 0 ? fd : 0;
     }},
    {"a directory that is not empty stays", -ENOTEMPTY,
     [](auto&, auto& root, long, long) -> long {
       return ::rmdir((root + "/dir").c_str()) == 0 ? 0 : -errno;
     }},
    {"the mode of a pin", 0600,
     [](auto&, auto& root, long, long) -> long {
       struct stat status {};
       EXPECT_EQ(::stat((root + "/map").c_str(), &status), 0);
       return status.st_mode & 07777;
     }},
};

void run_rules(const BpfCall& bpf, const std::string& root, long prog) {
  const long map = create(bpf);
  ASSERT_GE(map, 0);
  ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
  ASSERT_EQ(::mkdir((root + "/dir").c_str(), 0700), 0);
  for (const Rule& rule : kRules)
    EXPECT_EQ(rule.act(bpf, root, map, prog), rule.expected) << rule.name;
  ::close(static_cast<int>(map));
}

TEST_F(Pins, TheRulesAreTheKernels) { run_rules(bpf, root, load(constant_program(1))); }

// The same table on bpffs: in a child with mounts of its own, so that nothing is left behind. Exit
// status 77: not allowed.
TEST(KernelPins, TheRulesAreTheKernels) {
  const std::string root = make_folder();
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      ::_exit(77);
    if (::mount("none", root.c_str(), "bpf", 0, nullptr) != 0) ::_exit(77);
    const BpfCall bpf = [](int cmd, union bpf_attr attr) {
      const long result = ::syscall(__NR_bpf, cmd, &attr, sizeof attr);
      return result < 0 ? -errno : result;
    };
    const long map = create(bpf);
    if (map < 0) ::_exit(77);
    ::close(static_cast<int>(map));
    run_rules(bpf, root, bpf(BPF_PROG_LOAD, Client::program(constant_program(1))));
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  std::filesystem::remove_all(root);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
    GTEST_SKIP() << "this process may not use the kernel's bpf(2)";
  EXPECT_EQ(status, 0) << "the kernel has other rules";
}

TEST_F(Pins, APinIsAReferenceUntilItsLastNameIsGone) {
  const long map = create(bpf);
  ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
  close(map);
  EXPECT_TRUE(living(BPF_MAP_GET_NEXT_ID));
  ASSERT_EQ(::link((root + "/map").c_str(), (root + "/other").c_str()), 0);
  ASSERT_EQ(::unlink((root + "/map").c_str()), 0);
  EXPECT_TRUE(living(BPF_MAP_GET_NEXT_ID));
  ASSERT_EQ(::unlink((root + "/other").c_str()), 0);
  EXPECT_FALSE(living(BPF_MAP_GET_NEXT_ID));
  EXPECT_EQ(stored(), 0u) << "nothing of it is left";
}

TEST_F(Pins, ACopyOfAHandleIsNoPin) {
  const long map = create(bpf);
  ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
  std::filesystem::copy_file(root + "/map", root + "/copy");
  EXPECT_EQ(get(bpf, root + "/copy"), -EACCES);
  restart();
  EXPECT_EQ(get(bpf, root + "/copy"), -EACCES);
  EXPECT_GE(get(bpf, root + "/map"), 0);
}

TEST_F(Pins, ADirectoryHasOneDaemon) {
  BpfSurface second;
  const auto opened = second.open_pins(root);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, EBUSY) << opened.error().text;
}

// As on a full file system, with another errno: no file grows any more.
TEST_F(Pins, AFileThatCannotBeWrittenHasItsErrno) {
  const long map = create(bpf);
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  const long result = pin(bpf, map, root + "/map");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  EXPECT_EQ(result, -EFBIG);
  EXPECT_FALSE(std::filesystem::exists(root + "/map"));
}

TEST_F(Pins, TheTypeIsAnAttributeWhereTheFileSystemHasThem) {
  const long map = create(bpf);
  ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
  ASSERT_EQ(pin(bpf, load(constant_program(1)), root + "/prog"), 0);
  char text[16] = {};
  if (::getxattr((root + "/map").c_str(), "user.bpf.type", text, sizeof text) < 0) {
    GTEST_SKIP() << "this kernel's tmpfs has no user attributes";
  }
  EXPECT_STREQ(text, "map");
  std::memset(text, 0, sizeof text);
  ASSERT_GT(::getxattr((root + "/prog").c_str(), "user.bpf.type", text, sizeof text), 0);
  EXPECT_STREQ(text, "prog");
}

// A surface of their own is root's; only the files' modes stand between the reader and the map.
TEST_F(Pins, AReaderWithPermissionReadsAndDoesNotWrite) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else";
  const long map = create(bpf);
  uint64_t value = 11;
  ASSERT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 1, &value), 0);
  ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
  ASSERT_EQ(::chmod(root.c_str(), 0755), 0);
  const auto as_nobody = [this](const std::function<void()>& act) {
    ASSERT_EQ(::seteuid(65534), 0);
    act();
    ASSERT_EQ(::seteuid(0), 0);
  };
  as_nobody([this] { EXPECT_EQ(get(bpf, root + "/map", BPF_F_RDONLY), -EACCES); });
  ASSERT_EQ(::chmod((root + "/map").c_str(), 0644), 0);
  as_nobody([this] {
    EXPECT_EQ(get(bpf, root + "/map"), -EACCES);
    const long fd = get(bpf, root + "/map", BPF_F_RDONLY);
    uint64_t read = 0;
    EXPECT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, fd, 1, &read), 0);
    EXPECT_EQ(read, 11u);
    EXPECT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, fd, 1, &read), -EPERM);
    EXPECT_EQ(pin(bpf, fd, root + "/mine"), -EACCES);
  });
}

}  // namespace
}  // namespace sluice::bpf
