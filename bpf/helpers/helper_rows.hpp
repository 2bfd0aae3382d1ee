// How the rows of the helper table are written: helper_table.cpp and its siblings.
#pragma once

#include <linux/bpf.h>

#include <span>

#include "bpf/helpers/helper.hpp"

namespace sluice::bpf {

enum HelperTrait : uint8_t {
  kPlain = 0,
  kGplOnly = 1,
  kChangesPacket = 2,
  kPacketMemory = 4,
  kSleeps = 8
};

constexpr Helper helper_row(uint32_t id, std::string_view name, int traits, Ret returns,
                            std::array<Arg, 5> arguments, HelperBody body = nullptr,
                            std::string_view symbol = {}, bool inlined = false) {
  return {id,
          name,
          (traits & kGplOnly) != 0,
          (traits & kChangesPacket) != 0,
          (traits & kPacketMemory) != 0,
          (traits & kSleeps) != 0,
          returns,
          arguments,
          body,
          symbol,
          inlined};
}

// A helper with a body, which the JIT inlines or calls.
#define SLUICE_HELPER(name, inlined, traits, returns, ...)                                 \
  helper_row(BPF_FUNC_##name, #name, traits, returns, {__VA_ARGS__}, sluice_helper_##name, \
             "sluice_helper_" #name, inlined)
// One that verifies only.
#define SLUICE_PROTOTYPE(name, traits, returns, ...) \
  helper_row(BPF_FUNC_##name, #name, traits, returns, {__VA_ARGS__})

// The table's parts, each in order of id.
std::span<const Helper> general_helpers();  // maps, time, numbers, text, ring buffers, control
std::span<const Helper> packet_helpers();   // those that take a packet's context
// tasks, sockets, timers, dynptrs: what only a kernel has
std::span<const Helper> kernel_helpers();

}  // namespace sluice::bpf
