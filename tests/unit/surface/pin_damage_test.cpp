// Files in the pin directory that are damaged or not ours: reported, set aside, and nothing else
// suffers.
#include <fcntl.h>

#include "bpf/object/record.hpp"
#include "tests/unit/surface/pin_fixture.hpp"

namespace sluice::bpf {
namespace {

// The files of the map called `name`, by what their names end in.
std::string file_of(const std::string& root, const std::string& kind, const std::string& end) {
  for (const auto& file : std::filesystem::directory_iterator(root + "/.store")) {
    const std::string name = file.path().filename();
    if (!name.starts_with(kind)) continue;
    if (end.empty() ? std::count(name.begin(), name.end(), '.') == 1 : name.ends_with(end))
      return file.path();
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
      {"a truncated record", "",
       [](const std::string& path) { std::filesystem::resize_file(path, 20); }},
      {"an empty record", "",
       [](const std::string& path) { std::filesystem::resize_file(path, 0); }},
      {"a longer record", "",
       [](const std::string& path) { std::filesystem::resize_file(path, 100000); }},
      {"a changed record", "",
       [](const std::string& path) {
         const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
         ASSERT_EQ(::pwrite(file.get(), "x", 1, 70), 1);
       }},
      {"no record", "", [](const std::string& path) { std::filesystem::remove(path); }},
      {"truncated memory", ".values",
       [](const std::string& path) { std::filesystem::resize_file(path, 4096); }},
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

// A good record, but for the name of the map that the program uses.
void name_another_map(const std::string& folder, const std::string& program, const std::string& map,
                      const std::string& other) {
  const UniqueFd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto bytes = read_record(directory.get(), program);
  ASSERT_TRUE(bytes);
  const auto at = std::search(bytes->begin(), bytes->end(), map.begin(), map.end());
  ASSERT_NE(at, bytes->end());
  const auto length_at = at - sizeof(uint64_t);
  RecordWriter field;
  field(other);
  Bytes changed(bytes->begin(), length_at);
  changed.insert(changed.end(), field.bytes().begin(), field.bytes().end());
  changed.insert(changed.end(), at + static_cast<ptrdiff_t>(map.size()), bytes->end());
  ASSERT_TRUE(write_record(directory.get(), program, changed));
}

TEST_F(Pins, ARecordThatNamesNoRecordIsSetAsideAlone) {
  const std::string store = root + "/.store/";
  for (const char* other :
       {"bpf-map", "bpf-map.", "", "../outside", "MAP.values", "MAP/../MAP", "btf"}) {
    const long map = create(bpf, BPF_MAP_TYPE_ARRAY);
    ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
    const long program = load(counting_program(map));
    ASSERT_EQ(pin(bpf, program, root + "/program"), 0);
    const auto map_file = file_of(root, "bpf-map.", "").substr(store.size());
    const auto program_file = file_of(root, "bpf-prog.", "").substr(store.size());
    surface.reset();
    std::string name = other;
    for (size_t at; (at = name.find("MAP")) != std::string::npos;) name.replace(at, 3, map_file);
    ASSERT_NO_FATAL_FAILURE(name_another_map(store, program_file, map_file, name)) << other;
    testing::internal::CaptureStderr();
    start();
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find(root + "/program: "), std::string::npos) << other << ": " << log;
    EXPECT_EQ(get(bpf, root + "/program"), -EACCES) << other;
    restart();
    const long found = get(bpf, root + "/map");
    uint64_t value = 9;
    EXPECT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, found, 0, &value), 0)
        << other << ": the map is there, and its memory";
    close(found);
    for (const char* pinned : {"/map", "/program"}) ASSERT_EQ(::unlink((root + pinned).c_str()), 0);
    restart();
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

}  // namespace
}  // namespace sluice::bpf
