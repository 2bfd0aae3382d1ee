// All that bpf(2) tells of a program: its instructions, machine code, functions and source lines.
// The session's thread.
#pragma once

#include <linux/bpf.h>

#include <optional>
#include <string>
#include <vector>

#include "bpf/isa/insn.hpp"
#include "cli/tool/btf_values.hpp"

namespace sluice::cli {

struct SourceLine {
  std::string text;
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;
};

struct Program {
  bpf_prog_info info;
  std::vector<bpf::Insn> insns;  // xlated; 64-bit immediates of map loads hold ids
  std::vector<uint8_t> jited;
  std::vector<uint32_t> jited_lengths;   // bytes of each function
  std::vector<uint64_t> jited_addresses;  // of each function; 0: not shown to this user
  std::vector<uint64_t> jited_lines;      // an address each of `lines`
  std::vector<std::string> tags;         // of each function
  std::vector<bpf_func_info> functions;  // in order of insn_off
  std::vector<bpf_line_info> lines;      // the same
  std::vector<uint32_t> map_ids;
  Btf btf;  // null: without

  // "int filt(struct __sk_buff * skb)" where a function begins at `insn`; else empty.
  [[nodiscard]] std::string prototype_at(uint32_t insn) const;
  // The source line that begins at `insn`.
  [[nodiscard]] std::optional<SourceLine> line_at(uint32_t insn) const;
  // The one whose machine code begins at byte `offset` of function `function`.
  [[nodiscard]] std::optional<SourceLine> machine_line_at(size_t function, uint64_t offset) const;
  // "bpf_prog_TAG_name" of function `index`.
  [[nodiscard]] std::string function_symbol(size_t index) const;
  [[nodiscard]] std::optional<size_t> function_at(uint32_t insn) const;
  // An instruction in the kernel's notation, with map ids and, where `symbols`, the names of called
  // functions.
  [[nodiscard]] std::string disassemble_at(uint32_t insn, bool symbols = true) const;
  // Where the function begins that `insn` calls or names as a callback.
  [[nodiscard]] std::optional<uint32_t> callee_at(uint32_t insn) const;

 private:
  [[nodiscard]] std::optional<SourceLine> source_of(const bpf_line_info& line) const;
};

Result<Program> read_program(int fd);

}  // namespace sluice::cli
