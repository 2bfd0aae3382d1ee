#include <cstdio>

#include "cli/tool/elements.hpp"
#include "cli/tool/files.hpp"
#include "cli/tool/machine_code.hpp"
#include "cli/tool/prog_line.hpp"
#include "cli/tool/visual.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

struct DumpOptions {
  std::string file;
  bool opcodes = false;
  bool linum = false;
  bool visual = false;
};

void print_source(const SourceLine& line, bool linum) {
  std::printf("; %s", line.text.c_str());
  if (linum)
    std::printf(" [file:%s line_num:%u line_col:%u]", line.file.c_str(), line.line, line.column);
  std::printf("\n");
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
    if (const std::string prototype = program.prototype_at(at); !prototype.empty())
      out.member("proto", prototype);
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
    if (const auto line = program.line_at(at)) print_source(*line, options.linum);
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
  size_t index = 0;
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
    functions.push_back({i, program.function_symbol(i),
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
      if (const auto line = program.machine_line_at(function.index, insn.offset)) {
        write_source(out, *line, options.linum);
      }
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
      if (const auto line = program.machine_line_at(function.index, insn.offset))
        print_source(*line, options.linum);
      std::printf("%4llx:\t%s\n", static_cast<unsigned long long>(insn.offset), insn.text.c_str());
      if (options.opcodes) std::printf("\t%s\n", hex_text(insn.bytes).c_str());
    }
    std::printf("\n");
  }
}

Status dump_one(Context& context, const Program& program, bool machine,
                const DumpOptions& options) {
  const std::string title = "prog id " + std::to_string(program.info.id);
  if (machine && program.jited.empty())
    return fail(ENODATA, title + ": it has no machine code (jit: off, or it never ran)");
  if (!machine && program.insns.empty())
    return fail(EPERM, title + ": its instructions are not shown to this user");
  if (!options.file.empty()) {
    return write_file(options.file,
                      machine ? std::span<const uint8_t>(program.jited)
                              : bytes_of(program, 0, static_cast<uint32_t>(program.insns.size())));
  }
  if (options.visual) return print_graph(program), Status{};
  if (machine && context.plain()) return dump_machine_plain(program, options), Status{};
  if (machine) return dump_machine_json(context.json, program, options), Status{};
  if (context.plain()) return dump_plain(program, options), Status{};
  return dump_json(context.json, program, options), Status{};
}

Result<DumpOptions> take_options(Words& words, bool machine) {
  DumpOptions options;
  while (!words.empty()) {
    if (words.accept("file")) {
      auto path = words.take_path("file");
      if (!path) return fail(std::move(path.error()));
      options.file = std::move(*path);
    } else if (words.accept("opcodes")) {
      options.opcodes = true;
    } else if (words.accept("linum")) {
      options.linum = true;
    } else if (!machine && words.accept("visual")) {
      options.visual = true;
    } else {
      return fail(words.done().error());
    }
  }
  const bool text = options.opcodes || options.linum;
  if (options.file.empty() ? options.visual && text : options.visual || text)
    return usage("file and visual stand alone");
  return options;
}

}  // namespace

Status prog_dump(Context& context, Words& words) {
  const bool machine = words.next_is("jited");
  if (!machine && !words.next_is("xlated")) return usage("expected xlated or jited");
  (void)words.take("xlated or jited");
  const auto fds = take_objects(words, Kind::prog);
  if (!fds) return fail(fds.error());
  const auto taken = take_options(words, machine);
  if (!taken) return fail(taken.error());
  const DumpOptions& options = *taken;
  if (options.visual && !context.plain()) return usage("a graph has no JSON form: leave out -j");
  const bool many = fds->size() > 1;
  if (many && (!options.file.empty() || options.visual))
    return fail(EINVAL, "several programs fit and one is to be dumped; name one by its id");
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
