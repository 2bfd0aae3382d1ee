// Objects whose BTF is damaged: libbpf 1.1 crashes on many, so that none may get there.
#include <elf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <random>
#include <span>

#include "bpf/loader/loader.hpp"
#include "bpf/progs/btf_types.hpp"

namespace sluice::bpf {
namespace {

const std::string kObjects = SLUICE_BPF_OBJECTS;
const std::string kPath = testing::TempDir() + "sluice_btf_" + std::to_string(::getpid());

std::vector<uint8_t> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The section of that name.
std::span<uint8_t> section(std::vector<uint8_t>& object, const std::string& wanted) {
  Elf64_Ehdr header;
  std::memcpy(&header, object.data(), sizeof header);
  const auto row = [&](size_t index) {
    Elf64_Shdr found;
    std::memcpy(&found, object.data() + header.e_shoff + index * sizeof found, sizeof found);
    return found;
  };
  const uint64_t names = row(header.e_shstrndx).sh_offset;
  for (size_t i = 0; i < header.e_shnum; i++) {
    const Elf64_Shdr found = row(i);
    const auto* name = reinterpret_cast<const char*>(object.data() + names + found.sh_name);
    if (wanted == name) return {object.data() + found.sh_offset, found.sh_size};
  }
  ADD_FAILURE() << "no section " << wanted;
  return {};
}

std::string load(const std::vector<uint8_t>& object) {
  std::ofstream(kPath, std::ios::binary)
      .write(reinterpret_cast<const char*>(object.data()),
             static_cast<std::streamsize>(object.size()));
  BpfSurface surface;
  const auto loaded =
      load_object(surface, {.name = "test", .path = kPath, .program = {}, .maps = {}});
  std::remove(kPath.c_str());
  return loaded ? "" : loaded.error().text;
}

// One to two bytes of a section.
struct Damage {
  size_t at[2];
  uint8_t bytes[2];
  size_t count;

  void apply(std::span<uint8_t> to) const {
    for (size_t i = 0; i < count; i++) to[at[i]] = bytes[i];
  }
};

Damage make_damage(std::mt19937& random, size_t size) {
  Damage damage{};
  damage.count = 1 + random() % 2;
  for (size_t i = 0; i < damage.count; i++) {
    // Ids and offsets are small numbers: high bytes make them far too large, low ones lead
    // elsewhere.
    damage.at[i] = random() % size;
    damage.bytes[i] = static_cast<uint8_t>(random() % 4 == 0 ? random() : random() % 64);
  }
  return damage;
}

// Loads the object with each of `count` damages in a child; nothing, or which one killed it.
std::string survive(const std::string& name, const std::string& section_name, unsigned count) {
  constexpr unsigned kSecondsMax = 100;
  void* memory =
      ::mmap(nullptr, sizeof(Damage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* now = static_cast<Damage*>(memory);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kSecondsMax);
    const auto good = read_file(kObjects + "/" + name + ".bpf.o");
    std::mt19937 random(static_cast<unsigned>(good.size()));
    for (unsigned i = 0; i < count; i++) {
      auto object = good;
      const auto bytes = section(object, section_name);
      *now = make_damage(random, bytes.size());
      now->apply(bytes);
      load(object);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  const Damage last = *now;
  ::munmap(memory, sizeof(Damage));
  if (status == 0) return {};
  std::string text = name + ": wait status " + std::to_string(status) + " with " + section_name;
  for (size_t i = 0; i < last.count; i++) {
    text += " [" + std::to_string(last.at[i]) + "] = " + std::to_string(last.bytes[i]);
  }
  return text;
}

// An object of which `change` may alter the types.
std::string load_changed(const std::function<void(const BtfTypes&, std::span<uint8_t>)>& change) {
  auto object = read_file(kObjects + "/port_filter.bpf.o");
  const auto btf = section(object, ".BTF");
  change(BtfTypes(btf), btf);
  return load(object);
}

uint32_t find_kind(const BtfTypes& types, uint32_t kind) {
  uint32_t id = 1;
  while (id <= types.count() && types.kind(id) != kind) id++;
  return id;
}

// The record of a type, in the blob.
uint8_t* record(const BtfTypes& types, std::span<uint8_t> btf, uint32_t id) {
  size_t at = sizeof(btf_header);
  for (uint32_t before = 1; before < id; before++) {
    at += sizeof(btf_type);
    at += 4 * static_cast<size_t>(btf_extra_words(types.kind(before), types.vlen(before)));
  }
  return btf.data() + at;
}

void put(uint8_t* at, uint32_t word) { std::memcpy(at, &word, sizeof word); }

TEST(ObjectBtf, ATypeThatIsNotThereIsNamed) {
  uint32_t id = 0;
  const std::string text = load_changed([&](const BtfTypes& types, std::span<uint8_t> btf) {
    id = find_kind(types, BTF_KIND_PTR);
    put(record(types, btf, id) + offsetof(btf_type, type), 4711);
  });
  const std::string wanted =
      "BTF type " + std::to_string(id) + " refers to type 4711, which is not there";
  EXPECT_NE(text.find("not a valid BPF object: " + wanted), std::string::npos) << text;
}

TEST(ObjectBtf, ATypeThatIsItsOwnNameEndsInAnError) {
  const std::string text = load_changed([&](const BtfTypes& types, std::span<uint8_t> btf) {
    const uint32_t id = find_kind(types, BTF_KIND_TYPEDEF);
    put(record(types, btf, id) + offsetof(btf_type, type), id);
  });
  EXPECT_NE(text.find("contains itself"), std::string::npos) << text;
}

TEST(ObjectBtf, ANameBehindTheStringsEndsInAnError) {
  const std::string text = load_changed([&](const BtfTypes& types, std::span<uint8_t> btf) {
    put(record(types, btf, 1) + offsetof(btf_type, name_off), 0x7fffffff);
  });
  EXPECT_NE(text.find("BTF type 1 has its name at 2147483647, which is not there"),
            std::string::npos)
      << text;
}

TEST(ObjectBtf, AHeaderLongerThanTheSectionEndsInAnError) {
  const std::string text = load_changed([&](const BtfTypes&, std::span<uint8_t> btf) {
    put(btf.data() + offsetof(btf_header, hdr_len), 0x7fffffff);
  });
  EXPECT_NE(text.find("not a valid BPF object: BTF is cut off"), std::string::npos) << text;
}

// A map's type is the length of an array that a member of its definition points to.
TEST(ObjectBtf, AMapThatSaysItIsOfStructOpsIsRefused) {
  const std::string text = load_changed([&](const BtfTypes& types, std::span<uint8_t> btf) {
    const uint32_t id = find_kind(types, BTF_KIND_ARRAY);
    put(record(types, btf, id) + sizeof(btf_type) + offsetof(btf_array, nelems),
        BPF_MAP_TYPE_STRUCT_OPS);
  });
  EXPECT_NE(text.find("maps of type struct_ops are not supported"), std::string::npos) << text;
}

TEST(ObjectBtf, DamagedTypesAreRefusedOrLoadedAndNeverCrash) {
  for (const std::string name : {"port_filter", "flow_count", "dns_count", "size_histogram"}) {
    EXPECT_EQ(survive(name, ".BTF", 600), "");
  }
}

TEST(ObjectBtf, DamagedLineAndFunctionRecordsAreRefusedOrLoadedAndNeverCrash) {
  for (const std::string name : {"port_filter", "dns_count"})
    EXPECT_EQ(survive(name, ".BTF.ext", 300), "");
}

}  // namespace
}  // namespace sluice::bpf
