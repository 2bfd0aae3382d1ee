#include "cli/tool/visual.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "bpf/isa/insn.hpp"

namespace sluice::cli {
namespace {

// Functions begin where something calls them, where a callback is named, and where the types say
// so.
std::set<uint32_t> function_starts(const Program& program) {
  const auto total = static_cast<uint32_t>(program.insns.size());
  std::set<uint32_t> starts{0};
  for (const auto& function : program.functions) starts.insert(function.insn_off);
  for (uint32_t at = 0; at < total; at += bpf::insn_length(program.insns[at])) {
    const auto callee = program.callee_at(at);
    if (callee) starts.insert(*callee);
  }
  starts.erase(starts.lower_bound(total), starts.end());
  return starts;
}

struct Block {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t last = 0;  // its last instruction
};

// Blocks of the instructions [begin, end), by their first one.
std::map<uint32_t, Block> split_blocks(const Program& program, uint32_t begin, uint32_t end) {
  std::set<uint32_t> leaders{begin};
  for (uint32_t at = begin; at < end; at += bpf::insn_length(program.insns[at])) {
    const bpf::Insn& insn = program.insns[at];
    if (!bpf::is_jump(insn) || bpf::is_call(insn)) continue;
    if (at + 1 < end) leaders.insert(at + 1);
    const int64_t target = bpf::jump_target(insn, at);
    if (!bpf::is_exit(insn) && target >= begin && target < end)
      leaders.insert(static_cast<uint32_t>(target));
  }
  std::map<uint32_t, Block> blocks;
  for (auto leader = leaders.begin(); leader != leaders.end(); ++leader) {
    const uint32_t next = std::next(leader) == leaders.end() ? end : *std::next(leader);
    Block block{*leader, next, *leader};
    for (uint32_t at = block.begin; at < next; at += bpf::insn_length(program.insns[at]))
      block.last = at;
    blocks[*leader] = block;
  }
  return blocks;
}

// What record labels of dot read otherwise stands behind a backslash.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("<>{}|\"").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

// The nodes of one function: 0 is its entry, 1 its exit, blocks are numbered from 2 on.
class FunctionGraph {
 public:
  FunctionGraph(const Program& program, size_t index, uint32_t begin, uint32_t end)
      : program_(program),
        index_(index),
        begin_(begin),
        blocks_(split_blocks(program, begin, end)) {
    for (const auto& [leader, block] : blocks_) numbers_.emplace(leader, numbers_.size() + 2);
  }

  void print() const {
    std::printf(
        "subgraph \"cluster_%zu\" {\n\tstyle=\"dashed\";\n\tcolor=\"black\";\n"
        "\tlabel=\"func_%zu ()\";\n",
        index_, index_);
    mark(0, "ENTRY");
    for (const auto& [leader, block] : blocks_) print_block(block);
    mark(1, "EXIT");
    edge(0, 2);
    for (const auto& [leader, block] : blocks_) print_edges(block);
    std::printf("\tfn_%zu_bb_0:s -> fn_%zu_bb_1:n [style=\"invis\", constraint=true];\n}\n", index_,
                index_);
  }

 private:
  void mark(size_t node, const char* text) const {
    std::printf("\tfn_%zu_bb_%zu [shape=Mdiamond,style=filled,label=\"%s\"];\n\n", index_, node,
                text);
  }
  void edge(size_t from, size_t to) const {
    std::printf(
        "\tfn_%zu_bb_%zu:s -> fn_%zu_bb_%zu:n "
        "[style=\"solid,bold\", color=black, weight=10, constraint=true];\n",
        index_, from, index_, to);
  }
  void edge_to(const Block& from, int64_t insn) const {
    const auto found = insn < 0 ? numbers_.end() : numbers_.find(static_cast<uint32_t>(insn));
    if (found != numbers_.end()) edge(numbers_.at(from.begin), found->second);
  }

  void print_block(const Block& block) const {
    std::printf("\tfn_%zu_bb_%zu [shape=record,style=filled,label=\"{", index_,
                numbers_.at(block.begin));
    for (uint32_t at = block.begin; at < block.end; at += bpf::insn_length(program_.insns[at])) {
      std::printf("%s%4u: %s\\l\\\n", at == block.begin ? "" : " | ", at - begin_,
                  escaped(program_.disassemble_at(at, false)).c_str());
    }
    std::printf("}\"];\n\n");
  }

  void print_edges(const Block& block) const {
    const bpf::Insn& last = program_.insns[block.last];
    if (bpf::is_exit(last)) return edge(numbers_.at(block.begin), 1);
    if (!bpf::is_goto(last)) edge_to(block, block.end);
    if (bpf::is_goto(last) || bpf::is_conditional_jump(last))
      edge_to(block, bpf::jump_target(last, block.last));
  }

  const Program& program_;
  const size_t index_;
  const uint32_t begin_;
  std::map<uint32_t, Block> blocks_;
  std::map<uint32_t, size_t> numbers_;  // node of the block that begins at an instruction
};

}  // namespace

void print_graph(const Program& program) {
  const auto starts = function_starts(program);
  std::printf("digraph \"DOT graph for eBPF program\" {\n");
  size_t index = 0;
  for (auto start = starts.begin(); start != starts.end(); ++start) {
    const auto end = std::next(start) == starts.end() ? static_cast<uint32_t>(program.insns.size())
                                                      : *std::next(start);
    FunctionGraph(program, index++, *start, end).print();
  }
  std::printf("}\n");
}

}  // namespace sluice::cli
