#include "bpf/loader/object_file.hpp"

#include <bpf/libbpf.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "base/unique_fd.hpp"
#include "bpf/loader/object_btf.hpp"

namespace sluice::bpf {
namespace {

constexpr off_t kFileMax = 64 << 20;

std::string machine_name(unsigned machine) {
  switch (machine) {
    case EM_X86_64: return "x86-64";
    case EM_386: return "i386";
    case EM_AARCH64: return "aarch64";
    case EM_ARM: return "arm";
    case EM_RISCV: return "riscv";
    default: return "ELF machine " + std::to_string(machine);
  }
}

Status check_header(const std::vector<char>& file) {
  if (file.empty()) return fail(ENOEXEC, "the file is empty");
  if (file.size() < SELFMAG || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) {
    return fail(ENOEXEC,
                "not an ELF object (is it a source file? compile it with clang -target bpf)");
  }
  Elf64_Ehdr header;
  if (file.size() < sizeof header) return fail(ENOEXEC, "truncated: it ends inside the ELF header");
  std::memcpy(&header, file.data(), sizeof header);
  if (header.e_machine != EM_BPF) {
    return fail(ENOEXEC, "wrong architecture: built for " + machine_name(header.e_machine) +
                             ", not BPF (compile it with clang -target bpf)");
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return fail(ENOEXEC, "not a 64-bit BPF object");
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return fail(ENOEXEC, "wrong byte order: big-endian BPF (compile it with -target bpfel)");
  }
  if (header.e_type != ET_REL) return fail(ENOEXEC, "not a relocatable object");
  const uint64_t sections = uint64_t{header.e_shnum} * header.e_shentsize;
  if (header.e_shoff > file.size() || sections > file.size() - header.e_shoff) {
    return fail(ENOEXEC, "truncated: its section table lies beyond its end");
  }
  return {};
}

}  // namespace

Result<std::vector<char>> read_object_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail(errno, std::strerror(errno));
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return fail(errno, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return fail(ENOEXEC, "not a regular file");
  if (status.st_size > kFileMax) return fail(EFBIG, "larger than 64 MiB");
  std::vector<char> file(static_cast<size_t>(status.st_size));
  size_t have = 0;
  while (have < file.size()) {
    const ssize_t got = ::read(fd.get(), file.data() + have, file.size() - have);
    if (got < 0) return fail(errno, std::strerror(errno));
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  file.resize(have);
  auto checked = check_header(file);
  if (!checked) return fail(std::move(checked.error()));
  if (auto status = check_object_btf(file); !status) return fail(std::move(status.error()));
  return file;
}

Status check_object_maps(const bpf_object* object) {
  const bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object, map)) != nullptr) {
    if (::bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS) continue;
    return fail(EOPNOTSUPP, std::string("map ") + ::bpf_map__name(map) +
                                ": maps of type struct_ops are not supported");
  }
  return {};
}

}  // namespace sluice::bpf
