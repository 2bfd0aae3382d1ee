// PROG_LOAD: fields, logs, debug information; and what OBJ_GET_INFO_BY_FD shows of a program.
#include "tests/smoke/transcripts/btf_builder.hpp"
#include "tests/smoke/transcripts/transcript.hpp"

namespace transcript {
namespace {

constexpr uint32_t kFilter = BPF_PROG_TYPE_SOCKET_FILTER;
const std::vector<bpf_insn> kConstant{move(0, 1), leave()};

void types(Transcript& t) {
  struct {
    const char* name;
    uint32_t type;
  } const kTypes[] = {{"unspec", 0},
                      {"socket_filter", BPF_PROG_TYPE_SOCKET_FILTER},
                      {"kprobe", BPF_PROG_TYPE_KPROBE},
                      {"sched_cls", BPF_PROG_TYPE_SCHED_CLS},
                      {"tracepoint", BPF_PROG_TYPE_TRACEPOINT},
                      {"xdp", BPF_PROG_TYPE_XDP},
                      {"1000", 1000}};
  for (const auto& one : kTypes) {
    Attr attr = Transcript::program(one.type, kConstant);
    t.say(std::string("type ") + one.name, BPF_PROG_LOAD, attr);
    attr.attr.expected_attach_type = 5;
    t.say(std::string("type ") + one.name + ", expected_attach_type 5", BPF_PROG_LOAD, attr);
    attr.attr.expected_attach_type = 0;
    attr.attr.attach_btf_id = 1;
    t.say(std::string("type ") + one.name + ", attach_btf_id 1", BPF_PROG_LOAD, attr);
  }
}

void fields(Transcript& t) {
  Attr attr = Transcript::program(kFilter, kConstant);
  attr->insn_cnt = 0;
  t.say("no instructions", BPF_PROG_LOAD, attr);
  attr->insn_cnt = 1000001;
  t.say("1,000,001 instructions", BPF_PROG_LOAD, attr);
  attr = Transcript::program(kFilter, kConstant);
  attr->insns = 4096;
  t.say("instructions at a bad address", BPF_PROG_LOAD, attr);
  attr = Transcript::program(kFilter, kConstant);
  attr->license = 0;
  t.say("no licence", BPF_PROG_LOAD, attr);
  attr->license = 4096;
  t.say("licence at a bad address", BPF_PROG_LOAD, attr);
  const std::string longer(500, 'x');
  attr->license = address(longer.c_str());
  t.say("a licence of 500 bytes", BPF_PROG_LOAD, attr);
  attr = Transcript::program(kFilter, kConstant);
  std::strcpy(attr->prog_name, "no spaces");
  t.say("a name with a space", BPF_PROG_LOAD, attr);
  for (int bit = 0; bit < 20; bit++) {
    if (bit == 16) continue;  // BPF_F_TOKEN_FD
    attr = Transcript::program(kFilter, kConstant);
    attr->prog_flags = 1u << bit;
    t.say("prog_flags 1<<" + std::to_string(bit), BPF_PROG_LOAD, attr);
  }
  attr = Transcript::program(kFilter, kConstant);
  attr->attach_prog_fd = 9999;
  t.say("attach_prog_fd", BPF_PROG_LOAD, attr);
  attr = Transcript::program(kFilter, kConstant);
  attr->prog_ifindex = 1;
  t.say("prog_ifindex 1", BPF_PROG_LOAD, attr);
  attr = Transcript::program(kFilter, kConstant);
  attr->core_relo_cnt = 1;
  t.say("core_relo_cnt 1", BPF_PROG_LOAD, attr);
  attr = Transcript::program(
      kFilter, {insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_trace_printk), leave()}, "Proprietary");
  t.say("a GPL helper without the licence", BPF_PROG_LOAD, attr);
}

void logs(Transcript& t) {
  const std::vector<bpf_insn> bad{insn(BPF_ALU64 | BPF_MOV | BPF_X, 0, 3), leave()};
  std::vector<char> log(65536);
  const auto load = [&](const std::string& what, const std::vector<bpf_insn>& insns, uint32_t level,
                        uint32_t size, bool buffer = true) {
    Attr attr = Transcript::program(kFilter, insns);
    attr->log_level = level;
    attr->log_size = size;
    attr->log_buf = buffer ? address(log.data()) : 0;
    std::memset(log.data(), 'x', log.size());
    t.say(what, BPF_PROG_LOAD, attr);
    return attr;
  };
  load("bad, level 0 with buffer", bad, 0, 100);
  load("bad, level 1, size 0", bad, 1, 0);
  load("bad, level 1 without buffer", bad, 1, 0, false);
  load("bad, level 1, size without buffer", bad, 1, 100, false);
  load("bad, level 16", bad, 16, 1000);
  load("bad, level 1, size 2^30", bad, 1, 1u << 30);
  load("bad, level 1, size 2^31", bad, 1, 1u << 31);
  for (const uint32_t level : {1u, 2u, 3u, 4u, 5u, 8u, 9u, 15u}) {
    load("bad, level " + std::to_string(level), bad, level, 65536);
    t.line(std::strstr(log.data(), "R3 !read_ok") != nullptr ? "  names R3 !read_ok"
                                                             : "  does not name R3");
    load("good, level " + std::to_string(level), kConstant, level, 65536);
    t.line(log[0] == '\0' ? "  empty log" : "  a log");
  }
  for (const uint32_t size : {1u, 2u, 16u, 40u}) {
    load("bad, level 1, size " + std::to_string(size), bad, 1, size);
    t.line(log[size - 1] == '\0' ? "  ended by zero" : "  not ended");
    t.line(log[size] == 'x' ? "  nothing behind" : "  written behind");
    load("bad, level 9, size " + std::to_string(size), bad, 9, size);
    load("good, level 4, size " + std::to_string(size), kConstant, 4, size);
  }
  load("good, buffer at a bad address", kConstant, 0, 0);
  Attr attr = Transcript::program(kFilter, bad);
  attr->log_level = 1;
  attr->log_size = 1000;
  attr->log_buf = 4096;
  t.say("bad, buffer at a bad address", BPF_PROG_LOAD, attr);
}

void map_loads(Transcript& t) {
  const long map = t.create({BPF_MAP_TYPE_ARRAY, 4, 8, 1});
  const long two = t.create({BPF_MAP_TYPE_ARRAY, 4, 8, 2});
  const long hash = t.create({BPF_MAP_TYPE_HASH, 4, 8, 1});
  const long program = t.load(kFilter, kConstant);
  const int fds[] = {-1, static_cast<int>(map), 1};
  const auto load = [&](const std::string& what, int source, int imm, int next = 0,
                        bool array = false) {
    const auto insns = load_map(1, source, imm, next) + kConstant;
    Attr attr = Transcript::program(kFilter, insns);
    if (array) attr->fd_array = address(fds);
    t.say(what, BPF_PROG_LOAD, attr);
  };
  load("map fd", BPF_PSEUDO_MAP_FD, static_cast<int>(map));
  load("map fd, closed", BPF_PSEUDO_MAP_FD, 9999);
  load("map fd, a program", BPF_PSEUDO_MAP_FD, static_cast<int>(program));
  load("map fd, second word set", BPF_PSEUDO_MAP_FD, static_cast<int>(map), 1);
  load("map value", BPF_PSEUDO_MAP_VALUE, static_cast<int>(map));
  load("map value + 7", BPF_PSEUDO_MAP_VALUE, static_cast<int>(map), 7);
  load("map value + 8", BPF_PSEUDO_MAP_VALUE, static_cast<int>(map), 8);
  load("map value - 1", BPF_PSEUDO_MAP_VALUE, static_cast<int>(map), -1);
  load("map value of two elements", BPF_PSEUDO_MAP_VALUE, static_cast<int>(two));
  load("map value + 9 of two elements", BPF_PSEUDO_MAP_VALUE, static_cast<int>(two), 9);
  load("map value of a hash", BPF_PSEUDO_MAP_VALUE, static_cast<int>(hash));
  load("map index without fd_array", BPF_PSEUDO_MAP_IDX, 1);
  load("map index 1", BPF_PSEUDO_MAP_IDX, 1, 0, true);
  load("map index 0, closed", BPF_PSEUDO_MAP_IDX, 0, 0, true);
  load("map index 2, no map", BPF_PSEUDO_MAP_IDX, 2, 0, true);
  load("map value by index 1", BPF_PSEUDO_MAP_IDX_VALUE, 1, 4, true);
  load("source register 7", 7, 0);
  Attr attr = Transcript::program(kFilter, {insn(BPF_LD | BPF_IMM | BPF_DW, 1)});
  t.say("half a 64-bit immediate", BPF_PROG_LOAD, attr);
}

void debug_info(Transcript& t) {
  const long btf = load_small_btf(t);
  t.line(btf >= 0 ? "btf loaded" : "no btf");
  const std::vector<bpf_insn> insns{move(0, 1), leave(), move(0, 2), leave()};
  struct Case {
    const char* what;
    std::vector<bpf_func_info> functions;
    std::vector<bpf_line_info> lines;
    uint32_t function_size = sizeof(bpf_func_info);
    uint32_t line_size = sizeof(bpf_line_info);
    bool with_btf = true;
  };
  const bpf_func_info main_function{0, kSmallBtfFunction};
  const bpf_line_info line{0, 1, 1, 0};
  const Case cases[] = {
      {"func_info", {main_function}, {}},
      {"func_info without btf", {main_function}, {}, 8, 16, false},
      {"line_info without btf", {}, {line}, 8, 16, false},
      {"func_info of an int", {{0, 1}}, {}},
      {"func_info of no type", {{0, 99}}, {}},
      {"func_info at 1", {{1, kSmallBtfFunction}}, {}},
      {"func_info twice", {main_function, {1, kSmallBtfFunction}}, {}},
      {"func_info, records of 4", {main_function}, {}, 4},
      {"func_info, records of 9", {main_function}, {}, 9},
      {"func_info, records of 256", {main_function}, {}, 256},
      {"line_info", {main_function}, {line}},
      {"line_info without func_info", {}, {line}},
      {"line_info at 1", {main_function}, {{1, 1, 1, 0}}},
      {"line_info twice at 0", {main_function}, {line, line}},
      {"line_info beyond", {main_function}, {line, {9, 1, 1, 0}}},
      {"line_info, no such string", {main_function}, {{0, 1, 9999, 0}}},
      {"line_info, no such file", {main_function}, {{0, 9999, 1, 0}}},
      {"line_info, records of 12", {main_function}, {line}, 8, 12},
  };
  for (const auto& one : cases) {
    Attr attr = Transcript::program(kFilter, {insns[0], insns[1]});
    const std::vector<bpf_insn> two{insns[0], insns[1]};
    attr = Transcript::program(kFilter, two);
    attr->prog_btf_fd = one.with_btf ? static_cast<uint32_t>(btf) : 0;
    attr->func_info_rec_size = one.function_size;
    attr->func_info_cnt = static_cast<uint32_t>(one.functions.size());
    attr->func_info = address(one.functions.data());
    attr->line_info_rec_size = one.line_size;
    attr->line_info_cnt = static_cast<uint32_t>(one.lines.size());
    attr->line_info = address(one.lines.data());
    t.say(one.what, BPF_PROG_LOAD, attr);
  }
}

}  // namespace

void program_loading(Transcript& t) {
  types(t);
  fields(t);
  logs(t);
  map_loads(t);
  debug_info(t);
}

void program_info(Transcript& t) {
  const long map = t.create({BPF_MAP_TYPE_ARRAY, 4, 8, 1});
  const auto insns = load_map(1, BPF_PSEUDO_MAP_FD, static_cast<int>(map)) + kConstant;
  Attr attr = Transcript::program(kFilter, insns, "Dual BSD/GPL");
  std::strcpy(attr->prog_name, "shown");
  attr->prog_btf_fd = static_cast<uint32_t>(load_small_btf(t));
  const bpf_func_info function{0, kSmallBtfFunction};
  const bpf_line_info lines[] = {{0, 1, 1, 1 << 10}, {2, 1, 1, 2 << 10}};
  attr->func_info_rec_size = sizeof function;
  attr->func_info_cnt = 1;
  attr->func_info = address(&function);
  attr->line_info_rec_size = sizeof lines[0];
  attr->line_info_cnt = 2;
  attr->line_info = address(lines);
  const long fd = t.say("load", BPF_PROG_LOAD, attr);

  bpf_prog_info info{};
  const auto ask = [&](const char* what) {
    Attr asked;
    asked->info.bpf_fd = static_cast<uint32_t>(fd);
    asked->info.info_len = sizeof info;
    asked->info.info = address(&info);
    t.say(what, BPF_OBJ_GET_INFO_BY_FD, asked);
  };
  ask("info");
  t.number("  type", info.type);
  t.bytes("  tag", info.tag, sizeof info.tag);
  t.line(std::string("  name ") + info.name);
  t.line(info.load_time != 0 ? "  a load time" : "  no load time");
  t.number("  uid", info.created_by_uid);
  t.number("  maps", info.nr_map_ids);
  t.number("  gpl_compatible", info.gpl_compatible);
  t.number("  ifindex", info.ifindex);
  t.number("  func_info_rec_size", info.func_info_rec_size);
  t.number("  nr_func_info", info.nr_func_info);
  t.number("  line_info_rec_size", info.line_info_rec_size);
  t.number("  nr_line_info", info.nr_line_info);
  t.number("  jited_line_info_rec_size", info.jited_line_info_rec_size);
  t.number("  nr_jited_ksyms", info.nr_jited_ksyms);
  t.number("  nr_jited_func_lens", info.nr_jited_func_lens);
  t.number("  nr_prog_tags", info.nr_prog_tags);
  t.number("  xlated_prog_len", info.xlated_prog_len);
  t.line(info.jited_prog_len != 0 ? "  jited" : "  not jited");
  t.number("  run_cnt", info.run_cnt);
  t.number("  run_time_ns", info.run_time_ns);
  t.number("  recursion_misses", info.recursion_misses);
  t.number("  verified_insns", info.verified_insns);
  t.number("  attach_btf_id", info.attach_btf_id);
  t.line(info.btf_id != 0 ? "  BTF" : "  no BTF");

  uint32_t map_ids[4] = {};
  uint8_t tags[2][8] = {};
  bpf_func_info functions[2] = {};
  bpf_line_info shown_lines[4] = {};
  bpf_insn xlated[8] = {};
  info = {};
  info.nr_map_ids = 4;
  info.map_ids = address(map_ids);
  info.nr_prog_tags = 2;
  info.prog_tags = address(tags);
  info.nr_func_info = 2;
  info.func_info = address(functions);
  info.func_info_rec_size = sizeof functions[0];
  info.nr_line_info = 4;
  info.line_info = address(shown_lines);
  info.line_info_rec_size = sizeof shown_lines[0];
  info.xlated_prog_len = sizeof xlated;
  info.xlated_prog_insns = address(xlated);
  ask("info with arrays");
  t.line(map_ids[0] != 0 && map_ids[1] == 0 ? "  one map id" : "  other map ids");
  t.bytes("  tags", tags, sizeof tags);
  t.bytes("  functions", functions, sizeof functions);
  t.bytes("  lines", shown_lines, sizeof shown_lines);
  t.line(xlated[0].imm == static_cast<int32_t>(map_ids[0]) ? "  the map's id in the instruction"
                                                           : "  no id");
  xlated[0].imm = 0;
  t.bytes("  instructions", xlated, info.xlated_prog_len);

  info = {};
  info.nr_func_info = 1;
  ask("nr_func_info without its record size");
  info = {};
  info.func_info_rec_size = 4;
  ask("func_info_rec_size 4");
  info = {};
  info.nr_line_info = 1;
  info.line_info_rec_size = 12;
  ask("line_info_rec_size 12");
  info = {};
  info.nr_map_ids = 1;
  ask("map ids at address 0");
  info = {};
  info.xlated_prog_len = 64;
  ask("instructions at address 0");
  info = {};
  info.nr_prog_tags = 1;
  ask("tags at address 0");
  info = {};
  info.jited_prog_len = 64;
  ask("machine code at address 0");
  info = {};
  info.nr_jited_ksyms = 1;
  ask("addresses at address 0");
}

}  // namespace transcript
