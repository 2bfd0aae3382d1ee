#include "cli/tool/program.hpp"

#include <bpf/bpf.h>

#include <cstdio>
#include <cstring>

#include "bpf/isa/disasm.hpp"
#include "cli/tool/objects.hpp"

namespace sluice::cli {
namespace {

// Records of a newer kernel may be longer than ours.
template <class Record>
std::vector<Record> records(const std::vector<uint8_t>& bytes, size_t count, size_t size) {
  std::vector<Record> made(size == 0 ? 0 : std::min(count, bytes.size() / size));
  for (size_t i = 0; i < made.size(); i++) {
    std::memcpy(&made[i], bytes.data() + i * size, std::min(size, sizeof(Record)));
  }
  return made;
}

const char* btf_text(const ::btf& btf, uint32_t offset) {
  const char* text = ::btf__name_by_offset(&btf, offset);
  return text != nullptr ? text : "";
}

template <class T>
uint64_t address(std::vector<T>* bytes) {
  return reinterpret_cast<uintptr_t>(bytes->data());
}

}  // namespace

Result<Program> read_program(int fd) {
  Program program;
  bpf_prog_info& info = program.info;
  std::memset(&info, 0, sizeof info);
  uint32_t size = sizeof info;
  if (::bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
    return fail(errno_error(errno, "program information"));

  const bpf_prog_info counts = info;
  std::vector<uint8_t> functions(size_t{counts.nr_func_info} * counts.func_info_rec_size);
  std::vector<uint8_t> lines(size_t{counts.nr_line_info} * counts.line_info_rec_size);
  std::vector<uint8_t> jited_lines(size_t{counts.nr_jited_line_info} *
                                   counts.jited_line_info_rec_size);
  std::vector<uint8_t> tags(size_t{counts.nr_prog_tags} * BPF_TAG_SIZE);
  program.insns.resize(counts.xlated_prog_len / sizeof(bpf::Insn));
  program.jited.resize(counts.jited_prog_len);
  program.jited_lengths.resize(counts.nr_jited_func_lens);
  program.jited_addresses.resize(counts.nr_jited_ksyms);
  program.map_ids.resize(counts.nr_map_ids);
  std::memset(&info, 0, sizeof info);
  info.xlated_prog_len = counts.xlated_prog_len;
  info.xlated_prog_insns = address(&program.insns);
  info.jited_prog_len = counts.jited_prog_len;
  info.jited_prog_insns = address(&program.jited);
  info.nr_jited_func_lens = counts.nr_jited_func_lens;
  info.jited_func_lens = address(&program.jited_lengths);
  info.nr_jited_ksyms = counts.nr_jited_ksyms;
  info.jited_ksyms = address(&program.jited_addresses);
  info.nr_jited_line_info = counts.nr_jited_line_info;
  info.jited_line_info_rec_size = counts.jited_line_info_rec_size;
  info.jited_line_info = address(&jited_lines);
  info.nr_map_ids = counts.nr_map_ids;
  info.map_ids = address(&program.map_ids);
  info.nr_func_info = counts.nr_func_info;
  info.func_info_rec_size = counts.func_info_rec_size;
  info.func_info = address(&functions);
  info.nr_line_info = counts.nr_line_info;
  info.line_info_rec_size = counts.line_info_rec_size;
  info.line_info = address(&lines);
  info.nr_prog_tags = counts.nr_prog_tags;
  info.prog_tags = address(&tags);
  size = sizeof info;
  if (::bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
    return fail(errno_error(errno, "program information"));

  program.functions = records<bpf_func_info>(functions, info.nr_func_info, info.func_info_rec_size);
  program.lines = records<bpf_line_info>(lines, info.nr_line_info, info.line_info_rec_size);
  program.jited_lines =
      records<uint64_t>(jited_lines, info.nr_jited_line_info, info.jited_line_info_rec_size);
  for (size_t i = 0; i + BPF_TAG_SIZE <= tags.size(); i += BPF_TAG_SIZE)
    program.tags.push_back(tag_text(&tags[i]));
  if (info.btf_id != 0) {
    // Types are a convenience: without them only names and source lines are missing.
    if (auto btf = load_btf(info.btf_id)) program.btf = std::move(*btf);
  }
  return program;
}

std::optional<size_t> Program::function_at(uint32_t insn) const {
  for (size_t i = 0; i < functions.size(); i++) {
    if (functions[i].insn_off == insn) return i;
  }
  return std::nullopt;
}

std::string Program::prototype_at(uint32_t insn) const {
  const auto index = function_at(insn);
  if (!index || btf == nullptr) return "";
  return function_text(*btf, functions[*index].type_id);
}

std::optional<SourceLine> Program::source_of(const bpf_line_info& line) const {
  std::string text = btf_text(*btf, line.line_off);
  text.erase(0, text.find_first_not_of(" \t"));
  if (text.empty()) return std::nullopt;
  return SourceLine{std::move(text), btf_text(*btf, line.file_name_off),
                    BPF_LINE_INFO_LINE_NUM(line.line_col), BPF_LINE_INFO_LINE_COL(line.line_col)};
}

std::optional<SourceLine> Program::line_at(uint32_t insn) const {
  if (btf == nullptr) return std::nullopt;
  for (const bpf_line_info& line : lines) {
    if (line.insn_off == insn) return source_of(line);
  }
  return std::nullopt;
}

std::optional<SourceLine> Program::machine_line_at(size_t function, uint64_t offset) const {
  if (btf == nullptr || function >= jited_addresses.size() || jited_addresses[function] == 0)
    return std::nullopt;
  for (size_t i = 0; i < std::min(jited_lines.size(), lines.size()); i++) {
    if (jited_lines[i] == jited_addresses[function] + offset) return source_of(lines[i]);
  }
  return std::nullopt;
}

std::string Program::function_symbol(size_t index) const {
  std::string name = index == 0 ? info.name : "F";
  if (index < functions.size() && btf != nullptr) {
    const btf_type* type = ::btf__type_by_id(btf.get(), functions[index].type_id);
    if (type != nullptr) name = btf_text(*btf, type->name_off);
  }
  const std::string tag = index < tags.size() ? tags[index] : tag_text(info.tag);
  return "bpf_prog_" + tag + (name.empty() ? "" : "_" + name);
}

std::optional<uint32_t> Program::callee_at(uint32_t at) const {
  const bpf::Insn& insn = insns[at];
  int64_t callee = -1;
  if (bpf::is_load_imm64(insn) && insn.src_reg == BPF_PSEUDO_FUNC)
    callee = int64_t{at} + 1 + insn.imm;
  // Where the kernel has compiled the function, its imm is another number and the distance stands
  // in off.
  if (bpf::is_local_call(insn)) callee = int64_t{at} + 1 + (insn.off != 0 ? insn.off : insn.imm);
  if (callee < 0 || callee >= static_cast<int64_t>(insns.size())) return std::nullopt;
  return static_cast<uint32_t>(callee);
}

std::string Program::disassemble_at(uint32_t at, bool symbols) const {
  const bpf::Insn& insn = insns[at];
  const auto low = static_cast<uint32_t>(insn.imm);
  const auto signed_text = [](int number) {
    return (number < 0 ? "" : "+") + std::to_string(number);
  };
  if (bpf::is_load_imm64(insn)) {
    if (at + 1 >= insns.size()) return "(18) cut short";
    const std::string load = "(18) r" + std::to_string(insn.dst_reg) + " = ";
    const auto high = static_cast<uint32_t>(insns[at + 1].imm);
    if (insn.src_reg == BPF_PSEUDO_MAP_FD) return load + "map[id:" + std::to_string(low) + "]";
    if (insn.src_reg == BPF_PSEUDO_MAP_VALUE) {
      return load + "map[id:" + std::to_string(low) + "][0]+" + std::to_string(high);
    }
    if (insn.src_reg == BPF_PSEUDO_FUNC) return load + "subprog[" + signed_text(insn.imm) + "]";
  }
  if (bpf::is_local_call(insn)) {
    const std::string call = "(85) call pc" + signed_text(insn.off != 0 ? insn.off : insn.imm);
    const auto callee = symbols ? callee_at(at) : std::nullopt;
    const auto function = callee ? function_at(*callee) : std::nullopt;
    return function ? call + "#" + function_symbol(*function) : call;
  }
  return bpf::disassemble(&insn);
}

}  // namespace sluice::cli
