// Layout: Header, then a program: its name, then each array as a count and its elements as they lie
// in memory. Both ends are one binary, so plain structures are copied whole; the header's sizes
// tell a binary that differs.
#include "bpf/jit/serialise.hpp"

#include <cerrno>
#include <cstring>
#include <type_traits>

#include "base/limits.hpp"

namespace sluice::bpf::jit {
namespace {

struct Header {
  uint32_t magic = 0x534a4954;
  uint16_t version = 2;
  uint16_t insn_fact_size = sizeof(InsnFact);
  uint16_t map_image_size = sizeof(MapImage);
  uint16_t layout_size = sizeof(PacketLayout);
};
static_assert(std::has_unique_object_representations_v<Header>);
static_assert(std::is_trivially_copyable_v<InsnFact> && std::is_trivially_copyable_v<MapImage>);

class Writer {
 public:
  template <class T>
  void put(const T& value) {
    append(&value, sizeof value);
  }
  template <class T>
  void put_array(const T& values) {
    put(static_cast<uint32_t>(values.size()));
    append(values.data(), values.size() * sizeof(values[0]));
  }
  std::vector<uint8_t> take() { return std::move(bytes_); }

 private:
  void append(const void* from, size_t size) {
    if (size == 0) return;
    const size_t at = bytes_.size();
    bytes_.resize(at + size);
    std::memcpy(bytes_.data() + at, from, size);
  }
  std::vector<uint8_t> bytes_;
};

// After the first read past the end everything fails.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  template <class T>
  bool get(T* value) {
    return take(value, sizeof *value);
  }
  template <class T>
  bool get_array(T* values, uint32_t limit) {
    uint32_t count = 0;
    constexpr size_t kSize = sizeof((*values)[0]);
    if (!get(&count) || count > limit || count > bytes_.size() / kSize) return false;
    values->resize(count);
    return take(values->data(), count * kSize);
  }
  [[nodiscard]] bool at_end() const { return bytes_.empty(); }

 private:
  bool take(void* to, size_t size) {
    if (size > bytes_.size()) return false;
    if (size != 0) std::memcpy(to, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    return true;
  }
  std::span<const uint8_t> bytes_;
};

constexpr uint32_t kNameLimit = 256;

// A bool or an enumerator that is none would be undefined to look at.
bool is_fact(const uint8_t* bytes) {
  const auto flag = [&](size_t at) { return bytes[at] <= 1; };
  return flag(offsetof(InsnFact, aligned)) && flag(offsetof(InsnFact, in_range)) &&
         bytes[offsetof(InsnFact, region)] <= static_cast<uint8_t>(Region::mixed);
}

bool read_facts(Reader& reader, std::vector<InsnFact>* facts) {
  std::vector<std::array<uint8_t, sizeof(InsnFact)>> raw;
  if (!reader.get_array(&raw, kMaxInsns)) return false;
  facts->resize(raw.size());
  for (size_t i = 0; i < raw.size(); i++) {
    if (!is_fact(raw[i].data())) return false;
    std::memcpy(static_cast<void*>(&(*facts)[i]), raw[i].data(), sizeof(InsnFact));
  }
  return true;
}

bool read_hardening(Reader& reader, Hardening* hardening) {
  uint8_t mask_indices = 0;
  if (!reader.get(&mask_indices) || mask_indices > 1) return false;
  hardening->mask_indices = mask_indices == 1;
  return reader.get(&hardening->blinding_seed);
}

bool read_program(Reader& reader, ProgramImage* program) {
  return reader.get_array(&program->name, kNameLimit) && reader.get(&program->type) &&
         read_hardening(reader, &program->hardening) &&
         reader.get_array(&program->insns, kMaxInsns) && read_facts(reader, &program->facts) &&
         reader.get_array(&program->subprograms, kMaxSubprograms) &&
         reader.get_array(&program->maps, kMaxMapsPerProgram);
}

bool read_chain(Reader& reader, ChainImage* image) {
  Header header;
  const Header expected;
  if (!reader.get(&header) || std::memcmp(&header, &expected, sizeof header) != 0) return false;
  uint32_t entry = 0;
  uint32_t programs = 0;
  if (!reader.get(&entry) || entry > static_cast<uint32_t>(ChainImage::Entry::program))
    return false;
  image->entry = static_cast<ChainImage::Entry>(entry);
  if (!reader.get(&image->layout) || !reader.get(&programs) || programs > kMaxChainPrograms)
    return false;
  image->programs.resize(programs);
  for (auto& program : image->programs) {
    if (!read_program(reader, &program)) return false;
  }
  return reader.at_end();
}

}  // namespace

std::vector<uint8_t> serialise(const ChainImage& image) {
  Writer out;
  out.put(Header{});
  out.put(static_cast<uint32_t>(image.entry));
  out.put(image.layout);
  out.put(static_cast<uint32_t>(image.programs.size()));
  for (const auto& program : image.programs) {
    out.put_array(program.name);
    out.put(program.type);
    out.put(static_cast<uint8_t>(program.hardening.mask_indices));
    out.put(program.hardening.blinding_seed);
    out.put_array(program.insns);
    out.put_array(program.facts);
    out.put_array(program.subprograms);
    out.put_array(program.maps);
  }
  return out.take();
}

Result<ChainImage> deserialise(std::span<const uint8_t> bytes) {
  Reader reader(bytes);
  ChainImage image;
  if (!read_chain(reader, &image))
    return fail(EINVAL, "jit: not a chain of this version, or cut short");
  if (auto good = check_image(image); !good) return tl::unexpected<Error>(good.error());
  return image;
}

}  // namespace sluice::bpf::jit
