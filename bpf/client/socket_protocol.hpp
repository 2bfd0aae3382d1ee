// The API socket's protocol, for client and daemon. AF_UNIX, SOCK_STREAM; frames of a FrameHeader
// and a body; integers in the host's order (both ends are one machine); every variable part is
// padded to 8 bytes. Who calls is what SO_PEERCRED says; descriptors travel by SCM_RIGHTS with the
// first byte of their frame, and possession is the authority.
//
//   daemon  welcome  TextHeader, pin directory               once, after accept
//   client  call     CallHeader, attribute, answers * (Answer, bytes)
//   daemon  need     count u32, pad u32, count * Need        the call needs more of the client: it
//                                                            repeats the whole call with these
//                                                            answers added; the daemon remembers
//                                                            nothing
//   daemon  result   ResultHeader, writes * (Write, bytes)   the call is done; a descriptor if
//   has_descriptor client  query    TextHeader, text                        "status", "ports", ...
//   daemon  text     TextHeader, JSON                        code: errno, positive; the text says
//   why then
//
// A client sends one request and waits for its answer. A daemon closes a connection that sends
// anything else than the above: wrong version or type, a size beyond the limits, a frame not
// complete after kFrameSeconds.
#pragma once

#include <cstdint>

namespace sluice::bpf::wire {

inline constexpr uint16_t kVersion = 2;
// Bytes; a batch of a million elements or a program of a million instructions.
inline constexpr uint32_t kFrameMax = 80u << 20;
inline constexpr uint32_t kAttrMax = 4096;        // bytes of an attribute (Linux: PAGE_SIZE)
inline constexpr uint32_t kAnswersMax = 1024;     // in a call
inline constexpr uint32_t kNeedsMax = 256;        // in a need
inline constexpr uint32_t kDescriptorsMax = 253;  // with a frame (Linux: SCM_MAX_FD)
inline constexpr int kRoundsMax = 256;            // repetitions of one call
inline constexpr int kFrameSeconds = 10;
inline constexpr int32_t kCpuUnknown = -1;
// Between two CPUs a wake-up costs far more than a call. A side whose peer was last seen on another
// CPU looks for so long before it sleeps; on the same CPU looking would only keep the peer from
// running.
inline constexpr int64_t kLookNanoseconds = 50'000;

enum class FrameType : uint16_t { welcome = 1, call, need, result, query, text };

struct FrameHeader {
  uint32_t size = 0;  // bytes with this header
  uint16_t type = 0;
  uint16_t version = kVersion;
};

enum class NeedKind : uint32_t {
  memory = 1,      // `size` bytes at `address`; the client may send more
  file,            // descriptor `number` of the caller
  open,            // the file at the path at `address`, opened with flags `number`
  // the directory that the path at `address` lies in, O_PATH; the answer's bytes are the name in it
  open_directory,
  create_unnamed,  // O_TMPFILE in the directory that the path at `address` lies in
  // what create_unnamed made for the path at `size`, linked at the path at `address`
  link_unnamed,
};

struct Need {
  NeedKind kind = NeedKind::memory;
  int32_t number = 0;
  uint64_t address = 0;
  uint64_t size = 0;

  bool operator==(const Need&) const = default;
};

// status 0 or a negative errno. With 0: memory has `size` bytes after it, from need.address on;
// file, open, open_directory and create_unnamed have the next of the frame's descriptors.
struct Answer {
  Need need;
  int32_t status = 0;
  uint32_t size = 0;
};

struct CallHeader {
  int32_t cmd = 0;
  uint32_t attr_size = 0;
  uint64_t attr_address = 0;
  uint32_t answers = 0;
  int32_t cpu = kCpuUnknown;  // that the caller runs on: a hint for who waits, as in ResultHeader
};

struct ResultHeader {
  int64_t value = 0;
  uint32_t writes = 0;
  uint32_t has_descriptor = 0;
  int32_t cpu = kCpuUnknown;
  uint32_t pad = 0;
};

// `size` bytes after it go to the caller's memory at `address`.
struct Write {
  uint64_t address = 0;
  uint64_t size = 0;
};

struct TextHeader {
  uint32_t code = 0;
  uint32_t length = 0;
};

static_assert(sizeof(FrameHeader) == 8 && sizeof(Need) == 24 && sizeof(Answer) == 32 &&
              sizeof(CallHeader) == 24 && sizeof(ResultHeader) == 24 && sizeof(Write) == 16 &&
              sizeof(TextHeader) == 8);

}  // namespace sluice::bpf::wire
