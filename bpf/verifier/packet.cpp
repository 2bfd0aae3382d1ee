// Direct packet access: which bytes may be read is learned by comparing a pointer with the packet's
// end.
#include <algorithm>
#include <cerrno>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr uint64_t kMaxPacketOffset = 0xffff;  // Linux: MAX_PACKET_OFF

// data_meta compared with data: data is then the end of what data_meta points into.
bool is_packet_start(const Register& reg) {
  return reg.type == RegType::packet && reg.offset == 0 && reg.value.is_const() &&
         reg.value.value() == 0;
}

bool bounds(const Register& pointer, const Register& end) {
  if (pointer.or_null || end.or_null) return false;
  return (pointer.type == RegType::packet && end.type == RegType::packet_end) ||
         (pointer.type == RegType::packet_meta && is_packet_start(end));
}

}  // namespace

bool Analysis::check_packet(uint32_t regno, const Register& pointer, int32_t offset,
                            uint32_t size) {
  if (pointer.value.wide.smin < 0) {
    return fail(
        EACCES,
        "R%u min value is negative, either use unsigned index or do a if (index >=0) check.",
        regno);
  }
  const int64_t from = int64_t{pointer.offset} + offset;
  if (pointer.range >= 0 && from >= 0 && from + size <= pointer.range) return true;
  // A pointer that is known to lie beyond the end gives EINVAL in Linux.
  const int code = pointer.range < 0 ? EINVAL : EACCES;
  return fail(code,
              "invalid access to packet, off=%lld size=%u, R%u(id=%u,off=%lld,r=%d)\n"
              "R%u offset is outside of the packet",
              static_cast<long long>(from), size, regno, pointer.id, static_cast<long long>(from),
              pointer.range, regno);
}

// All pointers with the same base may reach as far as this one. open: it lies before the end, not
// at it.
void Analysis::note_packet_range(const Register& pointer, bool open) {
  if (pointer.offset < 0 || (pointer.offset == 0 && open)) return;
  if (pointer.value.wide.umax > kMaxPacketOffset ||
      pointer.value.wide.umax + static_cast<uint64_t>(pointer.offset) > kMaxPacketOffset) {
    return;
  }
  const int32_t range = pointer.offset + (open ? 1 : 0);
  const Register known = pointer;
  state_.for_each_register([&known, range](Register& each) {
    if (each.type == known.type && each.id == known.id) each.range = std::max(each.range, range);
  });
}

void Analysis::mark_packet_end(Register* pointer, bool open) {
  if (pointer->type == RegType::packet) pointer->range = open ? kBeyondPacketEnd : kAtPacketEnd;
}

// True: it was a comparison with the packet's end, and the state knows what it says.
bool Analysis::assume_packet(const Insn& insn, bool taken) {
  if (insn_class(insn) != BPF_JMP || !uses_register(insn)) return false;
  Register& left = reg(insn.dst_reg);
  Register& right = reg(insn.src_reg);
  const bool straight = bounds(left, right);
  if (!straight && !bounds(right, left)) return false;
  Register& pointer = straight ? left : right;
  // As `pointer OP end`.
  uint8_t op = alu_op(insn);
  if (!straight) {
    if (op == BPF_JGT) op = BPF_JLT;
    else if (op == BPF_JLT) op = BPF_JGT;
    else if (op == BPF_JGE) op = BPF_JLE;
    else if (op == BPF_JLE) op = BPF_JGE;
  }
  if (op == BPF_JGT || op == BPF_JGE) {
    if (taken) {
      mark_packet_end(&pointer, op == BPF_JGT);
    } else {
      note_packet_range(pointer, op == BPF_JGE);
    }
    return true;
  }
  if (op != BPF_JLT && op != BPF_JLE) return false;
  if (taken) {
    note_packet_range(pointer, op == BPF_JLT);
  } else {
    mark_packet_end(&pointer, op == BPF_JLE);
  }
  return true;
}

// A helper has changed the packet: its bytes may lie elsewhere now.
void Analysis::forget_packet_pointers() {
  state_.for_each_register([](Register& each) {
    if (each.is_packet() || each.type == RegType::packet_end) each = Register::unknown();
  });
}

}  // namespace sluice::bpf
