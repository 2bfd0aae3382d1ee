// Whether an object lives exactly as long as somebody, in whatever process, holds a descriptor of
// it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <climits>
#include <cstring>
#include <filesystem>

#include "base/descriptor_passing.hpp"
#include "bpf/maps/map_store.hpp"
#include "bpf/object/object_table.hpp"

namespace sluice::bpf {
namespace {

std::shared_ptr<MapObject> new_map(uint32_t flags, std::shared_ptr<MapStore> store = nullptr) {
  MapSpec spec;
  spec.name = "flows";
  spec.type = BPF_MAP_TYPE_ARRAY;
  spec.key_size = 4;
  spec.value_size = 8;
  spec.max_entries = 4;
  spec.flags = flags;
  spec.store = std::move(store);
  auto object = std::make_shared<MapObject>();
  auto map = Map::create(spec);
  EXPECT_TRUE(map);
  object->map = std::move(*map);
  return object;
}

// The two kinds of file that stand for a map: a token, and the map's own memory.
class Handles : public testing::TestWithParam<uint32_t> {
 protected:
  int open_map(bool readable = true, bool writable = true) {
    auto object = new_map(GetParam());
    table.add(object);
    id = object->id;
    const int fd = table.open({object, readable, writable});
    EXPECT_GE(fd, 0);
    return fd;
  }
  bool alive() {
    table.sweep();
    return table.map(id) != nullptr;
  }
  // Whether the table's descriptor says that something was closed, within a second.
  bool told() {
    pollfd waiting{.fd = table.closed_fd(), .events = POLLIN, .revents = 0};
    return ::poll(&waiting, 1, 1000) == 1;
  }

  ObjectTable table;
  uint32_t id = 0;
};

INSTANTIATE_TEST_SUITE_P(Both, Handles, testing::Values(0u, static_cast<uint32_t>(BPF_F_MMAPABLE)),
                         [](const auto& kind) { return kind.param == 0 ? "token" : "memory"; });

TEST_P(Handles, TheLastCloseFreesTheObjectAndIsAnnounced) {
  const int fd = open_map();
  EXPECT_TRUE(alive());
  ::close(fd);
  EXPECT_TRUE(told());
  EXPECT_FALSE(alive());
}

TEST_P(Handles, ADuplicateKeepsTheObject) {
  const int fd = open_map();
  const int other = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  ::close(fd);
  EXPECT_TRUE(alive());
  EXPECT_NE(table.map_of(other), nullptr);
  ::close(other);
  EXPECT_FALSE(alive());
}

TEST_P(Handles, ADescriptorOpenedTwiceIsTwoReferences) {
  const int first = open_map();
  const int second = table.open({table.map(id)});
  ::close(first);
  EXPECT_TRUE(alive());
  ::close(second);
  EXPECT_FALSE(alive());
}

TEST_P(Handles, AProcessThatIsKilledGivesUpItsReference) {
  const int fd = open_map();
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  ::close(fd);
  EXPECT_TRUE(alive()) << "the child inherited the descriptor";
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(alive());
}

TEST_P(Handles, ADescriptorOnItsWayThroughASocketIsAReference) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const int fd = open_map();
  char byte = 'x';
  ASSERT_EQ(send_with_descriptors(ends[0], {&byte, 1}, {&fd, 1}), 1);
  ::close(fd);
  EXPECT_TRUE(alive());

  std::vector<UniqueFd> received;
  ASSERT_EQ(receive_with_descriptors(ends[1], {&byte, 1}, &received), 1);
  ASSERT_EQ(received.size(), 1u);
  EXPECT_NE(table.map_of(received[0].get()), nullptr);
  EXPECT_TRUE(alive());
  received.clear();
  EXPECT_FALSE(alive());
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_P(Handles, TheLinkTextSaysWhatItIs) {
  const int fd = open_map();
  char text[PATH_MAX] = {};
  ASSERT_GT(::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), text, sizeof text - 1), 0);
  EXPECT_NE(std::strstr(text, "bpf-map"), nullptr) << text;
  ::close(fd);
}

TEST_P(Handles, TheRightToReadOrWriteIsTheDescriptors) {
  for (const bool writable : {false, true}) {
    const int fd = open_map(!writable, writable);
    Handle handle;
    ASSERT_EQ(table.find(fd, &handle), 0);
    EXPECT_EQ(handle.readable, !writable);
    EXPECT_EQ(handle.writable, writable);
    handle = {};
    ::close(fd);
    EXPECT_FALSE(alive());
  }
}

TEST_P(Handles, ManyOpensAndClosesLeaveNoDescriptorBehind) {
  const int before = ::dup(0);
  ::close(before);
  for (int i = 0; i < 1000; i++) ::close(open_map());
  EXPECT_FALSE(alive());
  const int after = ::dup(0);
  ::close(after);
  EXPECT_EQ(before, after);
}

TEST_P(Handles, AClosedAndAForeignDescriptorAreToldApart) {
  Handle handle;
  EXPECT_EQ(table.find(-1, &handle), -EBADF);
  EXPECT_EQ(table.find(0, &handle), -EINVAL);
}

TEST(Memory, AMappingWithoutADescriptorKeepsTheMap) {
  ObjectTable table;
  auto object = new_map(BPF_F_MMAPABLE);
  table.add(object);
  const uint32_t id = object->id;
  const int fd = table.open({object});
  const uint32_t key = 2;
  const uint64_t value = 77;
  ASSERT_EQ(object->map->update(&key, &value, BPF_ANY), 0);
  object.reset();
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(memory, MAP_FAILED);
  ::close(fd);
  table.sweep();
  EXPECT_NE(table.map(id), nullptr);
  EXPECT_EQ(static_cast<uint64_t*>(memory)[2], 77u)
      << "element 2 lies where the kernel's array has it";
  ::munmap(memory, 4096);
  table.sweep();
  EXPECT_EQ(table.map(id), nullptr);
}

TEST(Memory, AClientCannotChangeItsSize) {
  ObjectTable table;
  auto object = new_map(BPF_F_MMAPABLE);
  table.add(object);
  const int fd = table.open({object});
  EXPECT_EQ(::ftruncate(fd, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate(fd, 1 << 20), -1);
  ::close(fd);
}

// Linux 6.2 and later with Landlock; elsewhere who shrinks it gets zeros.
bool landlock_knows_truncate() {
  return ::syscall(__NR_landlock_create_ruleset, nullptr, 0, 1) >= 3;
}

std::shared_ptr<MapObject> new_stored_map(const std::string& folder, uint32_t flags) {
  auto directory = std::make_shared<StoreDirectory>();
  directory->fd.reset(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return new_map(BPF_F_MMAPABLE | flags, std::make_shared<MapStore>(directory, "bpf-map.1", true));
}

class StoredMemory : public testing::Test {
 protected:
  StoredMemory() {
    std::string pattern = testing::TempDir() + "sluice_memory_XXXXXX";
    folder = ::mkdtemp(pattern.data());
  }
  ~StoredMemory() override { std::filesystem::remove_all(folder); }
  // Whether one can write to it by way of a mapping.
  static bool takes_writes(int fd) {
    void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) return false;
    ::munmap(memory, 4096);
    return true;
  }

  std::string folder;
  ObjectTable table;
};

TEST_F(StoredMemory, AClientCannotChangeItsSizeWhoeverItGivesTheDescriptorTo) {
  if (!landlock_knows_truncate()) GTEST_SKIP() << "no Landlock of Linux 6.2";
  auto object = new_stored_map(folder, 0);
  table.add(object);
  const int fd = table.open({object});
  EXPECT_TRUE(takes_writes(fd));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::ftruncate(fd, 0) == -1 && errno == EACCES ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  struct stat now;
  ASSERT_EQ(::fstat(fd, &now), 0);
  EXPECT_EQ(now.st_size, 4096);
  ::close(fd);
  EXPECT_EQ(::truncate((folder + "/bpf-map.1.values").c_str(), 0), 0)
      << "the opener's thread alone is restricted";
}

TEST_F(StoredMemory, OfAFrozenMapNoNewDescriptorMapsForWriting) {
  auto object = new_stored_map(folder, 0);
  table.add(object);
  object->frozen.store(true);
  const int fd = table.open({object});
  EXPECT_FALSE(takes_writes(fd));
  Handle handle;
  ASSERT_EQ(table.find(fd, &handle), 0);
  EXPECT_TRUE(handle.readable && handle.writable);
  ::close(fd);
}

TEST_F(StoredMemory, ProgramsConstantsAreWrittenByBpfAlone) {
  for (const bool stored : {false, true}) {
    auto object = stored ? new_stored_map(folder, BPF_F_RDONLY_PROG)
                         : new_map(BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
    table.add(object);
    for (const bool readable : {true, false}) {
      for (const bool writable : {true, false}) {
        if (!readable && !writable) continue;
        const int fd = table.open({object, readable, writable});
        EXPECT_FALSE(takes_writes(fd));
        EXPECT_EQ(::pwrite(fd, "x", 1, 0), -1);
        Handle handle;
        ASSERT_EQ(table.find(fd, &handle), 0);
        EXPECT_EQ(handle.readable, readable);
        EXPECT_EQ(handle.writable, writable);
        ::close(fd);
      }
    }
  }
}

}  // namespace
}  // namespace sluice::bpf
