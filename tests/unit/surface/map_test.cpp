#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/surface/attr_new.hpp"
#include "tests/unit/surface/client.hpp"

namespace sluice::bpf {
namespace {

struct MapCommands : testing::Test {
  BpfSurface surface;
  Client client{surface};
  long hash = client.create(BPF_MAP_TYPE_HASH, 4, 8, 4);
  uint32_t key = 7;
  uint64_t value = 99;
};

TEST_F(MapCommands, AnElementIsWrittenReadAndDeleted) {
  ASSERT_GE(hash, 0);
  uint64_t out = 0;
  EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, hash, &key, &out), -ENOENT);
  EXPECT_EQ(client.element(BPF_MAP_UPDATE_ELEM, hash, &key, &value, BPF_NOEXIST), 0);
  EXPECT_EQ(client.element(BPF_MAP_UPDATE_ELEM, hash, &key, &value, BPF_NOEXIST), -EEXIST);
  EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, hash, &key, &out), 0);
  EXPECT_EQ(out, 99u);
  uint32_t next = 0;
  EXPECT_EQ(client.element(BPF_MAP_GET_NEXT_KEY, hash, nullptr, &next), 0);
  EXPECT_EQ(next, 7u);
  EXPECT_EQ(client.element(BPF_MAP_GET_NEXT_KEY, hash, &key, &next), -ENOENT);
  EXPECT_EQ(client.element(BPF_MAP_DELETE_ELEM, hash, &key, nullptr), 0);
  EXPECT_EQ(client.element(BPF_MAP_DELETE_ELEM, hash, &key, nullptr), -ENOENT);
}

TEST_F(MapCommands, NonZeroBytesBehindACommandsFieldsAreEinval) {
  EXPECT_EQ(client.element(BPF_MAP_DELETE_ELEM, hash, &key, &value), -EINVAL);
}

TEST_F(MapCommands, AnUnknownTailIsE2bigUnlessItIsZero) {
  struct {
    union bpf_attr attr;
    uint8_t newer[kAttrSize - sizeof(union bpf_attr)];
    uint64_t tail;
  } longer{empty_attr(), {}, 1};
  longer.attr.map_type = BPF_MAP_TYPE_ARRAY;
  longer.attr.key_size = longer.attr.value_size = 4;
  longer.attr.max_entries = 1;
  EXPECT_EQ(surface.bpf({}, BPF_MAP_CREATE, &longer.attr, sizeof longer), -E2BIG);
  longer.tail = 0;
  longer.newer[0] = 1;  // a field of another command's
  EXPECT_EQ(surface.bpf({}, BPF_MAP_CREATE, &longer.attr, sizeof longer), -EINVAL);
  longer.newer[0] = 0;
  EXPECT_GE(surface.bpf({}, BPF_MAP_CREATE, &longer.attr, sizeof longer), 0);
  EXPECT_EQ(surface.bpf({}, BPF_MAP_CREATE, &longer.attr, 4097), -E2BIG);
}

TEST_F(MapCommands, AnAddressWithoutMemoryIsEfault) {
  const auto* nowhere = reinterpret_cast<const void*>(uintptr_t{4096});
  EXPECT_EQ(client.element(BPF_MAP_UPDATE_ELEM, hash, nowhere, &value), -EFAULT);
  EXPECT_EQ(client.element(BPF_MAP_UPDATE_ELEM, hash, &key, nowhere), -EFAULT);
  // sought before it is copied
  EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, hash, &key, nowhere), -ENOENT);
  EXPECT_EQ(client.element(BPF_MAP_UPDATE_ELEM, hash, &key, &value), 0);
  EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, hash, &key, nowhere), -EFAULT);
  EXPECT_EQ(client.element(BPF_MAP_GET_NEXT_KEY, hash, nullptr, nowhere), -EFAULT);
}

TEST_F(MapCommands, AShortAttributeIsZeroExtended) {
  union bpf_attr attr;
  std::memset(&attr, 0xff, sizeof attr);  // what lies behind `size` must not be read
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = attr.value_size = 4;
  attr.max_entries = 1;
  EXPECT_GE(surface.bpf({}, BPF_MAP_CREATE, &attr, offsetof(union bpf_attr, map_flags)), 0);
}

TEST_F(MapCommands, UnknownCommandsAreEinvalAndLinkIdsEnoent) {
  EXPECT_EQ(client.bpf(BPF_OBJ_PIN, empty_attr()), -EINVAL);
  EXPECT_EQ(client.bpf(1 << 16, empty_attr()), -EINVAL);
  EXPECT_EQ(client.bpf(-1, empty_attr()), -EINVAL);
  EXPECT_EQ(client.bpf(BPF_LINK_GET_NEXT_ID, empty_attr()), -ENOENT);
}

TEST_F(MapCommands, AClosedDescriptorIsEbadfAndAForeignOneEinval) {
  EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, 9999, &key, &value), -EBADF);
  EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, 1, &key, &value), -EINVAL);
  const long program = client.load(constant_program(1));
  ASSERT_GE(program, 0);
  EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, program, &key, &value), -EINVAL);
}

TEST_F(MapCommands, AnUpdateOfAFrozenMapIsEperm) {
  auto attr = empty_attr();
  attr.map_fd = static_cast<uint32_t>(hash);
  EXPECT_EQ(client.bpf(BPF_MAP_FREEZE, attr), 0);
  EXPECT_EQ(client.bpf(BPF_MAP_FREEZE, attr), -EPERM);
  EXPECT_EQ(client.element(BPF_MAP_UPDATE_ELEM, hash, &key, &value), -EPERM);
  EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, hash, &key, &value), -ENOENT);
}

TEST_F(MapCommands, AMapThatAnyProcessHasMappedForWritingIsNotFrozen) {
  const long array = client.create(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE);
  auto attr = empty_attr();
  attr.map_fd = static_cast<uint32_t>(array);
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    void* memory =
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<int>(array), 0);
    if (::write(ready[1], "x", 1) == 1) ::pause();
    ::_exit(memory == MAP_FAILED ? 1 : 0);
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(client.bpf(BPF_MAP_FREEZE, attr), -EBUSY);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  void* memory =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<int>(array), 0);
  EXPECT_EQ(client.bpf(BPF_MAP_FREEZE, attr), -EBUSY) << "mapped here";
  ::munmap(memory, 4096);
  EXPECT_EQ(client.bpf(BPF_MAP_FREEZE, attr), 0);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<int>(array), 0),
            MAP_FAILED);
  EXPECT_EQ(errno, EPERM);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(MapCommands, AReadOnlyDescriptorMayNotUpdateAndAWriteOnlyOneNotLookUp) {
  const long reader = client.create(BPF_MAP_TYPE_HASH, 4, 8, 4, BPF_F_RDONLY);
  const long writer = client.create(BPF_MAP_TYPE_HASH, 4, 8, 4, BPF_F_WRONLY);
  EXPECT_EQ(client.element(BPF_MAP_UPDATE_ELEM, reader, &key, &value), -EPERM);
  EXPECT_EQ(client.element(BPF_MAP_UPDATE_ELEM, writer, &key, &value), 0);
  EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, writer, &key, &value), -EPERM);
}

TEST_F(MapCommands, ABadShapeOrNameIsRefusedWithAReason) {
  LoadFailure failure;
  client.caller.failure = &failure;
  EXPECT_EQ(client.create(BPF_MAP_TYPE_HASH, 4, 0, 4), -EINVAL);
  EXPECT_NE(failure.error.text, "");
  auto attr = empty_attr();
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = attr.value_size = attr.max_entries = 4;
  std::strcpy(attr.map_name, "a-b");
  EXPECT_EQ(client.bpf(BPF_MAP_CREATE, attr), -EINVAL);
  std::memcpy(attr.map_name, "sixteen_chars_no", 16);
  EXPECT_EQ(client.bpf(BPF_MAP_CREATE, attr), -EINVAL);
}

TEST_F(MapCommands, AMapLivesAsLongAsAnyDuplicateOfItsDescriptor) {
  const int copy = ::dup(static_cast<int>(hash));
  surface.close(static_cast<int>(hash));
  EXPECT_EQ(client.element(BPF_MAP_UPDATE_ELEM, copy, &key, &value), 0);
  EXPECT_NE(surface.objects().map(1), nullptr);
  ::close(copy);  // behind the surface's back
  surface.objects().sweep();
  EXPECT_EQ(surface.objects().map(1), nullptr);
}

TEST_F(MapCommands, DescriptorsAreNamedAsToolsExpect) {
  char link[64] = {};
  const std::string path = "/proc/self/fd/" + std::to_string(hash);
  ASSERT_GT(::readlink(path.c_str(), link, sizeof link - 1), 0);
  EXPECT_NE(std::string(link).find("bpf-map.1"), std::string::npos) << link;
}

TEST_F(MapCommands, IdsLeadToDescriptorsOfTheSameMapForItsOwnerAlone) {
  auto attr = empty_attr();
  EXPECT_EQ(surface.bpf({}, BPF_MAP_GET_NEXT_ID, &attr, sizeof attr), 0);
  EXPECT_EQ(attr.next_id, 1u);
  auto by_id = empty_attr();
  by_id.map_id = 1;
  const long again = client.bpf(BPF_MAP_GET_FD_BY_ID, by_id);
  ASSERT_GE(again, 0);
  EXPECT_EQ(client.element(BPF_MAP_UPDATE_ELEM, again, &key, &value), 0);
  EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, hash, &key, &value), 0);
  EXPECT_EQ(surface.bpf({1000, 1000}, BPF_MAP_GET_FD_BY_ID, &by_id, sizeof by_id), -EPERM);
  by_id.map_id = 77;
  EXPECT_EQ(client.bpf(BPF_MAP_GET_FD_BY_ID, by_id), -ENOENT);
  attr = empty_attr();
  attr.start_id = 1;
  EXPECT_EQ(client.bpf(BPF_MAP_GET_NEXT_ID, attr), -ENOENT);
}

TEST_F(MapCommands, InfoShowsTheShapeAndTakesShorterAndLongerStructures) {
  struct {
    bpf_map_info info;
    uint64_t tail;
  } longer{};
  auto attr = empty_attr();
  attr.info.bpf_fd = static_cast<uint32_t>(hash);
  attr.info.info = address(&longer);
  attr.info.info_len = sizeof longer;
  EXPECT_EQ(surface.bpf({}, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof attr), 0);
  EXPECT_EQ(attr.info.info_len, sizeof longer.info);
  EXPECT_EQ(longer.info.type, unsigned{BPF_MAP_TYPE_HASH});
  EXPECT_EQ(longer.info.max_entries, 4u);
  longer.tail = 1;
  attr.info.info_len = sizeof longer;
  EXPECT_EQ(client.bpf(BPF_OBJ_GET_INFO_BY_FD, attr), -E2BIG);
  longer.info = {};
  attr.info.info_len = 8;
  EXPECT_EQ(client.bpf(BPF_OBJ_GET_INFO_BY_FD, attr), 0);
  EXPECT_EQ(longer.info.id, 1u);
  EXPECT_EQ(longer.info.key_size, 0u);
}

}  // namespace
}  // namespace sluice::bpf
