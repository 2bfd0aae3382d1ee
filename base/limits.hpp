// Every limit of the product, by name. Sources: Linux where it has the same limit, else our own
// choice.
#pragma once

#include <cstdint>

namespace sluice {

// Programs (Linux: BPF_COMPLEXITY_LIMIT_INSNS, MAX_USED_MAPS, MAX_CALL_FRAMES, MAX_BPF_STACK,
// MAX_TAIL_CALL_CNT)
inline constexpr uint32_t kMaxInsns = 1'000'000;
inline constexpr uint32_t kMaxVerifiedInsns = 1'000'000;
inline constexpr uint32_t kMaxMapsPerProgram = 64;
inline constexpr uint64_t kMaxVerifierBytes = 512ull << 20;  // states of one verification
inline constexpr uint32_t kMaxFrames = 8;
inline constexpr uint32_t kMaxStack = 512;
inline constexpr uint32_t kMaxTailCalls = 33;
inline constexpr uint32_t kMaxPrograms = 1024;  // default, configurable
inline constexpr uint32_t kMaxSubprograms = 256;
inline constexpr uint32_t kObjectNameLength = 16;  // with the terminating zero

// Maps
// the part of a key that a metric's labels may name
inline constexpr uint32_t kMaxKeySize = 512;
inline constexpr uint64_t kMaxMapBytes = 32ull << 30;      // one map's memory
inline constexpr uint32_t kMaxMapEntries = 1u << 30;

// Data plane
inline constexpr uint32_t kBurst = 32;           // packets a receive call and a chain run
inline constexpr uint32_t kMaxChainPrograms = 16;
inline constexpr uint32_t kMaxPorts = 64;
inline constexpr uint32_t kMaxWorkers = 64;
inline constexpr uint32_t kMaxPacket = 262144;   // captured bytes (libpcap: MAXIMUM_SNAPLEN)
inline constexpr uint32_t kMinFrame = 14;        // Ethernet header

// Command line
inline constexpr uint32_t kMaxInputBytes = 64u << 20;  // a file that is read whole

// API socket
// sockaddr_un takes 107 bytes, of which ".PID" are for the name that it has until it listens.
inline constexpr uint32_t kMaxApiPath = 99;
inline constexpr uint32_t kMaxApiConnections = 4096;
// Of requests and answers on their way, all connections together.
inline constexpr uint64_t kMaxApiBytes = 512ull << 20;

}  // namespace sluice
