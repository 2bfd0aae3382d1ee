// ABI constants newer than Debian 12's linux/bpf.h (Linux 6.1). RFC 9669 has their meaning.
#pragma once

#include <cstdint>

namespace sluice::bpf {

inline constexpr uint8_t kModeMemSx = 0x80;       // BPF_MEMSX: sign-extending load
inline constexpr uint8_t kJmp32Ja = 0x06;         // BPF_JMP32 | BPF_JA: gotol
inline constexpr int32_t kLoadAcquire = 0x100;    // BPF_LOAD_ACQ, imm of a BPF_ATOMIC: sizes 1 to 8
inline constexpr int32_t kStoreRelease = 0x110;   // BPF_STORE_REL, the same
inline constexpr uint32_t kAttachTcxIngress = 46;  // BPF_TCX_INGRESS

}  // namespace sluice::bpf
