// What was executed on the way to the present, as a tree: each path's end points back along it.
// Needed to find where a number that turned out to matter came from. Grows only; owned by one
// verification.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice::bpf {

inline constexpr uint32_t kNoNode = UINT32_MAX;

// One executed instruction.
struct HistoryNode {
  uint32_t before;      // the instruction executed before it; kNoNode: none
  uint32_t insn;
  uint32_t linked = 0;  // index into History::linked, 0: none
  // The stack slot that it stored a register to or filled one from.
  bool stack = false;
  uint8_t frame = 0;
  uint8_t slot = 0;
};

// Numbers known to differ by constants when a branch learned something of one of them.
struct LinkedNumbers {
  struct Place {
    uint8_t frame;
    bool in_slot;
    uint8_t index;  // register or slot
  };
  std::vector<Place> places;
};

struct History {
  std::vector<HistoryNode> nodes;
  std::vector<LinkedNumbers> linked{1};

  uint32_t add(uint32_t before, uint32_t insn) {
    nodes.push_back({before, insn});
    return static_cast<uint32_t>(nodes.size() - 1);
  }
};

}  // namespace sluice::bpf
