#include "bpf/loader/object_btf.hpp"

#include <gelf.h>

#include <memory>
#include <string>
#include <vector>

#include "bpf/progs/btf_types.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kDepthMax = 256;  // far above the kernel's 32

struct EndElf {
  void operator()(Elf* elf) const { ::elf_end(elf); }
};

enum class Visit : uint8_t { no, now, done };

class ObjectBtf {
 public:
  explicit ObjectBtf(std::span<const uint8_t> blob)
      : blob_(blob), types_(blob), visits_(types_.count() + 1) {}

  Status check() {
    btf_header header{};
    if (blob_.size() >= sizeof header) std::memcpy(&header, blob_.data(), sizeof header);
    if (header.magic != BTF_MAGIC) return broken("BTF has no header");
    if (!types_.whole())
      return broken("BTF is cut off at type " + std::to_string(types_.count() + 1));
    for (uint32_t id = 1; id <= types_.count(); id++) {
      if (Status status = check_type(id); !status) return status;
    }
    for (uint32_t id = 1; id <= types_.count(); id++) {
      if (Status status = walk(id, 0); !status) return status;
    }
    return {};
  }

 private:
  static Status broken(const std::string& what) {
    return fail(EINVAL, what);
  }
  static std::string name_of(uint32_t id) { return "BTF type " + std::to_string(id); }

  Status check_name(uint32_t id, uint32_t offset) const {
    if (types_.has_string(offset)) return {};
    return broken(name_of(id) + " has its name at " + std::to_string(offset) +
                  ", which is not there");
  }

  Status check_reference(uint32_t id, uint32_t to) const {
    if (types_.known(to)) return {};
    return broken(name_of(id) + " refers to type " + std::to_string(to) + ", which is not there");
  }

  Status check_type(uint32_t id) const {
    const btf_type type = types_.type(id);
    if (Status status = check_name(id, type.name_off); !status) return status;
    switch (BTF_INFO_KIND(type.info)) {
      case BTF_KIND_ARRAY:
        if (Status status = check_reference(id, types_.word(id, 0)); !status) return status;
        return check_reference(id, types_.word(id, 1));
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION: return check_entries(id, {.words = 3, .name = 0, .type = 1});
      case BTF_KIND_ENUM: return check_entries(id, {.words = 2, .name = 0});
      case BTF_KIND_ENUM64: return check_entries(id, {.words = 3, .name = 0});
      case BTF_KIND_DATASEC: return check_section(id);
      case BTF_KIND_FUNC_PROTO:
        if (Status status = check_reference(id, type.type); !status) return status;
        return check_entries(id, {.words = 2, .name = 0, .type = 1});
      case BTF_KIND_FUNC:
        if (Status status = check_reference(id, type.type); !status) return status;
        if (types_.kind(type.type) == BTF_KIND_FUNC_PROTO) return {};
        return broken(name_of(id) + ", a function, refers to type " + std::to_string(type.type) +
                      ", no prototype");
      case BTF_KIND_INT:
      case BTF_KIND_FLOAT:
      case BTF_KIND_FWD: return {};
      default: return check_reference(id, type.type);
    }
  }

  // Where in each of a type's entries a name and a type stand, in words; -1: none.
  struct Entries {
    uint32_t words;
    int name = -1;
    int type = -1;
  };

  Status check_entries(uint32_t id, Entries entries) const {
    for (uint32_t i = 0; i < types_.vlen(id); i++) {
      const uint32_t at = entries.words * i;
      if (entries.name >= 0) {
        const uint32_t name = types_.word(id, at + static_cast<uint32_t>(entries.name));
        if (Status status = check_name(id, name); !status) return status;
      }
      if (entries.type >= 0) {
        const uint32_t type = types_.word(id, at + static_cast<uint32_t>(entries.type));
        if (Status status = check_reference(id, type); !status) return status;
      }
    }
    return {};
  }

  // Sizes and offsets are libbpf's to fill in.
  Status check_section(uint32_t id) const {
    if (Status status = check_entries(id, {.words = 3, .type = 0}); !status) return status;
    for (uint32_t i = 0; i < types_.vlen(id); i++) {
      const uint32_t entry = types_.word(id, 3 * i);
      const uint32_t kind = types_.kind(entry);
      if (kind == BTF_KIND_VAR || kind == BTF_KIND_FUNC) continue;
      return broken(name_of(id) + ", a section, has type " + std::to_string(entry) +
                    ", no variable or function");
    }
    return {};
  }

  // What a type consists of, down to where pointers begin.
  Status walk(uint32_t id, uint32_t depth) {
    if (visits_[id] == Visit::done) return {};
    if (visits_[id] == Visit::now) return broken(name_of(id) + " contains itself");
    if (depth == kDepthMax) return broken(name_of(id) + " is nested too deep");
    visits_[id] = Visit::now;
    const uint32_t kind = types_.kind(id);
    Status status;
    if (is_modifier(kind) || kind == BTF_KIND_VAR) status = walk(types_.type(id).type, depth + 1);
    if (kind == BTF_KIND_ARRAY) status = walk(types_.word(id, 0), depth + 1);
    if (is_struct(kind)) {
      for (uint32_t i = 0; i < types_.vlen(id) && status; i++)
        status = walk(types_.member(id, i).type, depth + 1);
    }
    visits_[id] = Visit::done;
    return status;
  }

  std::span<const uint8_t> blob_;
  BtfTypes types_;
  std::vector<Visit> visits_;  // by id; nothing contains void
};

}  // namespace

Status check_btf_references(std::span<const uint8_t> blob) { return ObjectBtf(blob).check(); }

Status check_object_btf(std::span<const char> file) {
  ::elf_version(EV_CURRENT);
  // Read only, though the parameter does not say so.
  const std::unique_ptr<Elf, EndElf> elf(::elf_memory(const_cast<char*>(file.data()), file.size()));
  size_t names = 0;
  if (elf == nullptr || ::elf_getshdrstrndx(elf.get(), &names) != 0)
    return {};  // libbpf says what it misses
  Elf_Scn* section = nullptr;
  while ((section = ::elf_nextscn(elf.get(), section)) != nullptr) {
    GElf_Shdr header;
    if (::gelf_getshdr(section, &header) == nullptr || header.sh_type != SHT_PROGBITS) continue;
    const char* name = ::elf_strptr(elf.get(), names, header.sh_name);
    if (name == nullptr || std::string_view(name) != ".BTF") continue;
    const Elf_Data* data = ::elf_rawdata(section, nullptr);
    if (data == nullptr || data->d_buf == nullptr) continue;
    const std::span blob(static_cast<const uint8_t*>(data->d_buf), data->d_size);
    if (Status status = check_btf_references(blob); !status)
      return fail(std::move(status.error()).in("not a valid BPF object"));
  }
  return {};
}

}  // namespace sluice::bpf
