// A client of the API socket as the surface's handlers see it: what one call carried of its memory,
// descriptors and paths. What is missing is noted, for the client to send the call again with it;
// what is written is kept for the answer. One call's thread.
#pragma once

#include <span>
#include <vector>

#include "base/unique_fd.hpp"
#include "bpf/client/frame.hpp"
#include "bpf/surface/process.hpp"

namespace sluice::control {

class RemoteProcess final : public bpf::Process {
 public:
  // Takes `count` answers from the frame, whose bytes must outlive this, and their descriptors.
  // False: they are not what the protocol says.
  bool take(bpf::wire::FrameReader& frame, uint32_t count, std::vector<UniqueFd> descriptors);

  // The descriptors that it took, in their order.
  [[nodiscard]] std::vector<UniqueFd> give_back();

  int read(uint64_t address, void* to, size_t size) override;
  int write(uint64_t address, const void* from, size_t size) override;
  int file(int fd) override;
  int open(uint64_t path, int flags) override;
  int open_directory(uint64_t path, std::string* name) override;
  int create_unnamed(uint64_t path) override;
  int link_unnamed(int file, uint64_t path) override;

  // What the handler wanted and the call did not carry. Not empty: whatever the handler returned
  // means nothing.
  [[nodiscard]] const std::vector<bpf::wire::Need>& needs() const { return needs_; }

  struct Written {
    uint64_t address;
    std::vector<char> bytes;
  };
  [[nodiscard]] const std::vector<Written>& writes() const { return writes_; }

 private:
  struct Item {
    bpf::wire::Answer answer;
    std::span<const char> bytes;
    UniqueFd descriptor;
  };
  int descriptor_of(const bpf::wire::Need& need);
  int note(const bpf::wire::Need& need, int error);

  std::vector<Item> items_;
  std::vector<bpf::wire::Need> needs_;
  std::vector<Written> writes_;
  size_t written_bytes_ = 0;
};

}  // namespace sluice::control
