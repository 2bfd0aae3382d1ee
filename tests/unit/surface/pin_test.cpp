// Pins through the surface: the kernel's rules, and what is there after the daemon's end. The rule table runs on a bpffs of
// the kernel too, where this process may mount one.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <filesystem>
#include <functional>

#include "bpf/isa/opcode_new.hpp"
#include "tests/unit/surface/client.hpp"
#include "tests/unit/surface/fake_ports.hpp"

namespace sluice::bpf {
namespace {

using BpfCall = std::function<long(int cmd, union bpf_attr attr)>;

long pin(const BpfCall& bpf, long fd, const std::string& path, uint32_t flags = 0) {
  auto attr = empty_attr();
  attr.pathname = address(path.c_str());
  attr.bpf_fd = static_cast<uint32_t>(fd);
  attr.file_flags = flags;
  return bpf(BPF_OBJ_PIN, attr);
}

long get(const BpfCall& bpf, const std::string& path, uint32_t flags = 0, uint32_t fd = 0) {
  auto attr = empty_attr();
  attr.pathname = address(path.c_str());
  attr.bpf_fd = fd;
  attr.file_flags = flags;
  return bpf(BPF_OBJ_GET, attr);
}

long create(const BpfCall& bpf, uint32_t type = BPF_MAP_TYPE_HASH, uint32_t flags = 0, uint32_t value_size = 8) {
  auto attr = empty_attr();
  attr.map_type = type;
  attr.key_size = 4;
  attr.value_size = value_size;
  attr.max_entries = 16;
  attr.map_flags = flags;
  std::strcpy(attr.map_name, "flows");
  return bpf(BPF_MAP_CREATE, attr);
}

long element(const BpfCall& bpf, int cmd, long fd, uint32_t key, uint64_t* value) {
  auto attr = empty_attr();
  attr.map_fd = static_cast<uint32_t>(fd);
  attr.key = address(&key);
  attr.value = address(value);
  return bpf(cmd, attr);
}

// One rule a row: what is done, in a pin directory with `map` (a pinned map), `prog` (a program), `dir/`.
struct Rule {
  const char* name;
  long expected;
  long (*act)(const BpfCall& bpf, const std::string& root, long map, long prog);
};

const Rule kRules[] = {
    {"onto a pin", -EEXIST, [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/map"); }},
    {"onto a directory", -EEXIST, [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/dir"); }},
    {"onto a symlink", -EEXIST,
     [](auto& bpf, auto& root, long map, long) {
       EXPECT_EQ(::symlink("nowhere", (root + "/link").c_str()), 0);
       return pin(bpf, map, root + "/link");
     }},
    {"outside", -EPERM, [](auto& bpf, auto&, long map, long) { return pin(bpf, map, "/tmp/sluice-no-pin"); }},
    {"a dot in the name", -EPERM, [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/a.b"); }},
    {"no such directory", -ENOENT, [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/no/x"); }},
    {"empty path", -ENOENT, [](auto& bpf, auto&, long map, long) { return pin(bpf, map, ""); }},
    {"a slash at the end", -ENOENT, [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/x/"); }},
    {"through a pin", -ENOTDIR, [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/map/x"); }},
    {"a long name", -ENAMETOOLONG,
     [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/" + std::string(256, 'x')); }},
    {"a bad pointer", -EFAULT,
     [](auto& bpf, auto&, long map, long) {
       auto attr = empty_attr();
       attr.pathname = 16;
       attr.bpf_fd = static_cast<uint32_t>(map);
       return bpf(BPF_OBJ_PIN, attr);
     }},
    {"pin a bad descriptor", -EINVAL, [](auto& bpf, auto& root, long, long) { return pin(bpf, 999, root + "/x"); }},
    {"pin a foreign descriptor", -EINVAL, [](auto& bpf, auto& root, long, long) { return pin(bpf, 0, root + "/x"); }},
    {"pin with flags", -EINVAL,
     [](auto& bpf, auto& root, long map, long) { return pin(bpf, map, root + "/x", BPF_F_RDONLY); }},
    {"get with a descriptor", -EINVAL, [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/map", 0, 1); }},
    {"get both ways", -EINVAL,
     [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/map", BPF_F_RDONLY | BPF_F_WRONLY); }},
    {"get with an unknown flag", -EINVAL, [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/map", 1); }},
    {"get what is not there", -ENOENT, [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/nobody"); }},
    {"get an empty path", -ENOENT, [](auto& bpf, auto&, long, long) { return get(bpf, ""); }},
    {"get a directory", -EACCES, [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/dir"); }},
    {"get a file that is no pin", -EACCES, [](auto& bpf, auto&, long, long) { return get(bpf, "/etc/passwd"); }},
    {"get through a pin", -ENOTDIR, [](auto& bpf, auto& root, long, long) { return get(bpf, root + "/map/x"); }},
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
     [](auto&, auto& root, long, long) -> long { return ::rmdir((root + "/dir").c_str()) == 0 ? 0 : -errno; }},
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
  for (const Rule& rule : kRules) EXPECT_EQ(rule.act(bpf, root, map, prog), rule.expected) << rule.name;
  ::close(static_cast<int>(map));
}

std::string make_folder() {
  char path[] = "/dev/shm/sluice-pin-test.XXXXXX";
  return ::mkdtemp(path);
}

class Pins : public testing::Test {
 protected:
  Pins() : root(make_folder()) { start(); }
  ~Pins() override {
    surface.reset();
    std::filesystem::remove_all(root);
  }
  void start() {
    surface = std::make_unique<BpfSurface>();
    const auto opened = surface->open_pins(root);
    ASSERT_TRUE(opened) << opened.error().text;
  }
  void restart() {
    surface.reset();
    start();
  }
  long load(const std::vector<Insn>& insns) { return bpf(BPF_PROG_LOAD, Client::program(insns)); }
  void close(long fd) { surface->close(static_cast<int>(fd)); }
  bool living(int next_id_command) {
    return bpf(next_id_command, empty_attr()) == 0;
  }
  [[nodiscard]] size_t stored() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(root + "/.store")) count++;
    return count;
  }

  std::string root;
  std::unique_ptr<BpfSurface> surface;
  BpfCall bpf = [this](int cmd, union bpf_attr attr) {
    return surface->bpf({::geteuid(), ::getegid()}, cmd, &attr, sizeof attr);
  };
};

TEST_F(Pins, TheRulesAreTheKernels) { run_rules(bpf, root, load(constant_program(1))); }

// The same table on bpffs: in a child with mounts of its own, so that nothing is left behind. Exit status 77: not allowed.
TEST(KernelPins, TheRulesAreTheKernels) {
  const std::string root = make_folder();
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(77);
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
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "this process may not use the kernel's bpf(2)";
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

TEST_F(Pins, AMapThatWasNeverPinnedLeavesNothing) {
  close(create(bpf));
  EXPECT_EQ(stored(), 0u);
  create(bpf);  // not closed: the surface ends with it
  restart();
  EXPECT_EQ(stored(), 0u);
}

TEST_F(Pins, ADescriptorKeepsWhatLostItsPin) {
  const long map = create(bpf);
  ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
  ASSERT_EQ(::unlink((root + "/map").c_str()), 0);
  uint64_t value = 5;
  EXPECT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 1, &value), 0);
  ASSERT_EQ(pin(bpf, map, root + "/again"), 0);
  close(map);
  restart();
  const long again = get(bpf, root + "/again");
  EXPECT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, again, 1, &value), 0);
  EXPECT_EQ(value, 5u);
}

TEST_F(Pins, AMapIsThereAfterARestartWithContentsNameAndFreeze) {
  for (const uint32_t type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY}) {
    const std::string path = root + "/map" + std::to_string(type);
    long map = create(bpf, type);
    uint64_t value = 42;
    ASSERT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 3, &value), 0);
    ASSERT_EQ(pin(bpf, map, path), 0);
    value = 43;
    ASSERT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 4, &value), 0);
    auto attr = empty_attr();
    attr.map_fd = static_cast<uint32_t>(map);
    ASSERT_EQ(bpf(BPF_MAP_FREEZE, attr), 0);
    restart();
    map = get(bpf, path);
    ASSERT_GE(map, 0);
    ASSERT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, map, 3, &value), 0);
    EXPECT_EQ(value, 42u);
    ASSERT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, map, 4, &value), 0);
    EXPECT_EQ(value, 43u);
    EXPECT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 5, &value), -EPERM) << "it is frozen";
    EXPECT_EQ(surface->objects().map_of(static_cast<int>(map))->map->spec().name, "flows");
  }
}

// Creation adds a flag to device maps that nobody may ask for.
TEST_F(Pins, ADeviceMapIsThereAfterARestart) {
  for (const uint32_t type : {BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH}) {
    const std::string path = root + "/map" + std::to_string(type);
    long map = create(bpf, type, 0, 4);
    uint64_t value = 1;
    ASSERT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 3, &value), 0);
    ASSERT_EQ(pin(bpf, map, path), 0);
    restart();
    map = get(bpf, path);
    ASSERT_GE(map, 0);
    value = 0;
    ASSERT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, map, 3, &value), 0);
    EXPECT_EQ(value, 1u);
  }
}

// Looks up key 0 of the array behind `map` and accepts.
std::vector<Insn> counting_program(long map) {
  return {insn(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0),
          insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10),
          insn(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4),
          insn(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, static_cast<int>(map)),
          insn(0),
          call(BPF_FUNC_map_lookup_elem),
          insn(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, 0),
          move(BPF_REG_1, 1),
          insn(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_0, BPF_REG_1, 0, BPF_ADD),
          move(BPF_REG_0, 7),
          leave()};
}

TEST_F(Pins, AProgramIsThereAfterARestartWithItsMapAndRuns) {
  long map = create(bpf, BPF_MAP_TYPE_ARRAY);
  long program = load(counting_program(map));
  ASSERT_GE(program, 0);
  const Tag tag = surface->objects().program_of(static_cast<int>(program))->tag;
  ASSERT_EQ(pin(bpf, program, root + "/prog"), 0);
  close(map);
  close(program);
  restart();
  program = get(bpf, root + "/prog");
  ASSERT_GE(program, 0);
  const auto object = surface->objects().program_of(static_cast<int>(program));
  EXPECT_EQ(object->tag, tag);
  ASSERT_EQ(object->used_maps().size(), 1u) << "the map has no pin, the program keeps it";
  std::vector<uint8_t> frame(64);
  auto attr = empty_attr();
  attr.test.prog_fd = static_cast<uint32_t>(program);
  attr.test.data_in = address(frame.data());
  attr.test.data_size_in = static_cast<uint32_t>(frame.size());
  ASSERT_EQ(bpf(BPF_PROG_TEST_RUN, attr), 0);
  const uint32_t key = 0;
  uint64_t value = 0;
  ASSERT_EQ(object->used_maps()[0]->map->lookup(&key, &value), 0);
  EXPECT_EQ(value, 1u);
}

TEST_F(Pins, APinRemovedWhileNoDaemonRanIsGone) {
  const long map = create(bpf);
  ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
  surface.reset();
  ASSERT_EQ(::unlink((root + "/map").c_str()), 0);
  start();
  EXPECT_FALSE(living(BPF_MAP_GET_NEXT_ID));
  EXPECT_EQ(stored(), 0u);
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

// The files of the map called `name`, by what their names end in.
std::string file_of(const std::string& root, const std::string& kind, const std::string& end) {
  for (const auto& file : std::filesystem::directory_iterator(root + "/.store")) {
    const std::string name = file.path().filename();
    if (!name.starts_with(kind)) continue;
    if (end.empty() ? std::count(name.begin(), name.end(), '.') == 1 : name.ends_with(end)) return file.path();
  }
  return {};
}

TEST_F(Pins, ADamagedFileIsSetAsideAndNothingElseSuffers) {
  struct Damage {
    const char* name;
    const char* end;
    void (*make)(const std::string& path);
  };
  const Damage damages[] = {
      {"a truncated record", "", [](const std::string& path) { std::filesystem::resize_file(path, 20); }},
      {"an empty record", "", [](const std::string& path) { std::filesystem::resize_file(path, 0); }},
      {"a longer record", "", [](const std::string& path) { std::filesystem::resize_file(path, 100000); }},
      {"a changed record", "",
       [](const std::string& path) {
         const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
         ASSERT_EQ(::pwrite(file.get(), "x", 1, 70), 1);
       }},
      {"no record", "", [](const std::string& path) { std::filesystem::remove(path); }},
      {"truncated memory", ".values", [](const std::string& path) { std::filesystem::resize_file(path, 4096); }},
      {"no memory", ".table", [](const std::string& path) { std::filesystem::remove(path); }},
      {"memory of zeros", ".table",
       [](const std::string& path) {
         const auto size = std::filesystem::file_size(path);
         std::filesystem::resize_file(path, 0);
         std::filesystem::resize_file(path, size);
       }},
  };
  for (const Damage& damage : damages) {
    const long map = create(bpf, BPF_MAP_TYPE_HASH, 0, 1024);
    ASSERT_EQ(pin(bpf, map, root + "/bad"), 0) << damage.name;
    const std::string path = file_of(root, "bpf-map.", damage.end);
    const long good = create(bpf);
    uint64_t value = 9;
    ASSERT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, good, 1, &value), 0);
    ASSERT_EQ(pin(bpf, good, root + "/good"), 0);
    surface.reset();
    ASSERT_NE(path, "");
    damage.make(path);
    testing::internal::CaptureStderr();
    start();
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find(root + "/bad"), std::string::npos) << damage.name << ": " << log;
    EXPECT_EQ(get(bpf, root + "/bad"), -EACCES) << damage.name;
    const long found = get(bpf, root + "/good");
    EXPECT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, found, 1, &value), 0) << damage.name;
    close(found);
    // The next time there is nothing left to say of it, and its name is free again.
    for (const char* name : {"/bad", "/good"}) ASSERT_EQ(::unlink((root + name).c_str()), 0);
    restart();
    EXPECT_EQ(stored(), 1u) << damage.name << ": the folder of damaged files";
  }
}

TEST_F(Pins, AForeignFileIsReportedAndLeft) {
  surface.reset();
  { const UniqueFd file(::open((root + "/readme").c_str(), O_CREAT | O_WRONLY, 0600)); }
  { const UniqueFd file(::open((root + "/.store/stranger").c_str(), O_CREAT | O_WRONLY, 0600)); }
  testing::internal::CaptureStderr();
  start();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find(root + "/readme"), std::string::npos) << log;
  EXPECT_NE(log.find("stranger"), std::string::npos) << log;
  EXPECT_TRUE(std::filesystem::exists(root + "/readme"));
  EXPECT_EQ(get(bpf, root + "/readme"), -EACCES);
}

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
  // A link of a new program, pinned under the program's name; neither has a descriptor left but the link's.
  long link(const char* name, uint32_t ifindex) {
    const long program = load_named(name);
    auto attr = empty_attr();
    attr.link_create.prog_fd = static_cast<uint32_t>(program);
    attr.link_create.target_ifindex = ifindex;
    attr.link_create.attach_type = kAttachTcxIngress;
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

TEST_F(Pins, ADirectoryHasOneDaemon) {
  BpfSurface second;
  const auto opened = second.open_pins(root);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, EBUSY) << opened.error().text;
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
