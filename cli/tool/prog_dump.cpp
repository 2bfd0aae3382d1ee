#include <cstdio>
#include <fstream>

#include "cli/tool/elements.hpp"
#include "cli/tool/machine_code.hpp"
#include "cli/tool/prog_line.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

struct DumpOptions {
  std::string file;
  bool opcodes = false;
  bool linum = false;
};

std::string place(const SourceLine& line) {
  return " [file:" + line.file + " line_num:" + std::to_string(line.line) + " line_col:" + std::to_string(line.column) +
         "]";
}

void write_source(JsonWriter& out, const SourceLine& line, bool linum) {
  out.member("src", line.text);
  if (!linum) return;
  out.member("file", line.file);
  out.member("line_num", line.line);
  if (line.column != 0) out.member("line_col", line.column);
}

std::span<const uint8_t> bytes_of(const Program& program, uint32_t at, uint32_t count) {
  return {reinterpret_cast<const uint8_t*>(program.insns.data() + at), count * sizeof(bpf::Insn)};
}

void write_opcodes(JsonWriter& out, const Program& program, uint32_t at, uint32_t count) {
  const bpf::Insn& insn = program.insns[at];
  const auto bytes = bytes_of(program, at, count);
  char text[8];
  const auto hex = [&](const char* name, unsigned value, const char* format) {
    std::snprintf(text, sizeof text, format, value);
    out.member(name, text);
  };
  out.key("opcodes");
  out.begin_object();
  hex("code", insn.code, "0x%02x");
  hex("src_reg", insn.src_reg, "0x%x");
  hex("dst_reg", insn.dst_reg, "0x%x");
  out.key("off");
  write_hex(out, bytes.subspan(2, 2));
  out.key("imm");
  write_hex(out, count == 2 ? bytes.subspan(4, 12) : bytes.subspan(4, 4));
  out.end_object();
}

void dump_json(JsonWriter& out, const Program& program, const DumpOptions& options) {
  out.begin_array();
  const auto total = static_cast<uint32_t>(program.insns.size());
  for (uint32_t at = 0; at < total;) {
    const uint32_t count = std::min(bpf::insn_length(program.insns[at]), total - at);
    out.begin_object();
    if (const std::string prototype = program.prototype_at(at); !prototype.empty()) out.member("proto", prototype);
    if (const auto line = program.line_at(at)) write_source(out, *line, options.linum);
    out.member("disasm", program.disassemble_at(at));
    if (options.opcodes) write_opcodes(out, program, at, count);
    out.end_object();
    at += count;
  }
  out.end_array();
}

void dump_plain(const Program& program, const DumpOptions& options) {
  const auto total = static_cast<uint32_t>(program.insns.size());
  for (uint32_t at = 0; at < total;) {
    const uint32_t count = std::min(bpf::insn_length(program.insns[at]), total - at);
    if (const std::string prototype = program.prototype_at(at); !prototype.empty())
      std::printf("%s:\n", prototype.c_str());
    if (const auto line = program.line_at(at)) {
      std::printf("; %s%s\n", line->text.c_str(), options.linum ? place(*line).c_str() : "");
    }
    std::printf("%4u: %s\n", at, program.disassemble_at(at).c_str());
    if (options.opcodes) {
      std::string text;
      char digits[4];
      for (const uint8_t byte : bytes_of(program, at, count)) {
        std::snprintf(digits, sizeof digits, " %02x", byte);
        text += digits;
      }
      std::printf("      %s\n", text.c_str());
    }
    at += count;
  }
}

struct Function {
  std::string symbol;
  std::string prototype;
  std::span<const uint8_t> code;
};

std::vector<Function> functions_of(const Program& program) {
  std::vector<Function> functions;
  size_t begin = 0;
  std::vector<uint32_t> lengths = program.jited_lengths;
  if (lengths.empty()) lengths.push_back(static_cast<uint32_t>(program.jited.size()));
  for (size_t i = 0; i < lengths.size() && begin + lengths[i] <= program.jited.size(); i++) {
    const bool known = program.btf != nullptr && i < program.functions.size();
    functions.push_back({program.function_symbol(i),
                         known ? function_text(*program.btf, program.functions[i].type_id) : "",
                         std::span(program.jited).subspan(begin, lengths[i])});
    begin += lengths[i];
  }
  return functions;
}

void dump_machine_json(JsonWriter& out, const Program& program, const DumpOptions& options) {
  char text[32];
  out.begin_array();
  for (const auto& function : functions_of(program)) {
    out.begin_object();
    out.member("name", function.symbol);
    if (!function.prototype.empty()) out.member("proto", function.prototype);
    out.key("insns");
    out.begin_array();
    for (const auto& insn : disassemble_machine_code(function.code)) {
      out.begin_object();
      std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(insn.offset));
      out.member("pc", text);
      const size_t gap = insn.text.find('\t');
      out.member("operation", insn.text.substr(0, gap));
      out.key("operands");
      out.begin_array();
      // A comma inside brackets belongs to the operand: 8(%rax,%rbx).
      std::string operand;
      int depth = 0;
      for (const char c : gap == std::string::npos ? "" : insn.text.substr(gap + 1) + ",") {
        depth += c == '(' ? 1 : c == ')' ? -1 : 0;
        if (c != ',' || depth > 0) {
          if (c != ' ' || !operand.empty()) operand += c;
        } else if (!operand.empty()) {
          out.string(std::exchange(operand, {}));
        }
      }
      out.end_array();
      if (options.opcodes) {
        out.key("opcodes");
        write_hex(out, insn.bytes);
      }
      out.end_object();
    }
    out.end_array();
    out.end_object();
  }
  out.end_array();
}

void dump_machine_plain(const Program& program, const DumpOptions& options) {
  for (const auto& function : functions_of(program)) {
    if (!function.prototype.empty()) std::printf("%s:\n", function.prototype.c_str());
    std::printf("%s:\n", function.symbol.c_str());
    for (const auto& insn : disassemble_machine_code(function.code)) {
      std::printf("%4llx:\t%s\n", static_cast<unsigned long long>(insn.offset), insn.text.c_str());
      if (options.opcodes) std::printf("\t%s\n", hex_text(insn.bytes).c_str());
    }
    std::printf("\n");
  }
}

Status write_file(const std::string& path, const void* bytes, size_t size) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  file.close();
  if (!file) return fail(errno_error(errno, "write " + path));
  return {};
}

Status dump_one(Context& context, const Program& program, bool machine, const DumpOptions& options) {
  const std::string title = "prog id " + std::to_string(program.info.id);
  if (machine && program.jited.empty())
    return fail(ENODATA, title + ": it has no machine code (jit: off, or it never ran)");
  if (!machine && program.insns.empty()) return fail(EPERM, title + ": its instructions are not shown to this user");
  if (!options.file.empty()) {
    if (machine) return write_file(options.file, program.jited.data(), program.jited.size());
    return write_file(options.file, program.insns.data(), program.insns.size() * sizeof(bpf::Insn));
  }
  if (machine && context.plain()) return dump_machine_plain(program, options), Status{};
  if (machine) return dump_machine_json(context.json, program, options), Status{};
  if (context.plain()) return dump_plain(program, options), Status{};
  return dump_json(context.json, program, options), Status{};
}

}  // namespace

Status prog_dump(Context& context, Words& words) {
  const bool machine = words.next_is("jited");
  if (!machine && !words.next_is("xlated")) return usage("expected xlated or jited");
  (void)words.take("xlated or jited");
  const auto fds = take_objects(words, Kind::prog);
  if (!fds) return fail(fds.error());
  DumpOptions options;
  while (!words.empty()) {
    if (words.accept("file")) {
      auto path = words.take("file");
      if (!path) return fail(std::move(path.error()));
      options.file = std::move(*path);
    } else if (words.accept("opcodes")) {
      options.opcodes = true;
    } else if (!machine && words.accept("linum")) {
      options.linum = true;
    } else {
      return words.done();
    }
  }
  const bool many = fds->size() > 1;
  if (many && !options.file.empty())
    return fail(EINVAL, "several programs fit and one file is given; name one by its id");
  if (many && !context.plain()) context.json.begin_array();
  for (const auto& fd : *fds) {
    const auto program = read_program(fd.get());
    if (!program) return fail(program.error());
    if (many && context.plain()) print_prog_line(*program);
    if (many && !context.plain()) {
      context.json.begin_object();
      write_prog_head(context.json, *program);
      context.json.key("insns");
    }
    if (auto status = dump_one(context, *program, machine, options); !status) return status;
    if (many && !context.plain()) context.json.end_object();
    if (many && context.plain() && &fd != &fds->back()) std::printf("\n");
  }
  if (many && !context.plain()) context.json.end_array();
  return {};
}

}  // namespace sluice::cli
