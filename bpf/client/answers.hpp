// What a call carries of its caller: the answers to the daemon's needs, those guessed beforehand
// included. One call's thread. Private to bpf/client.
#pragma once

#include <linux/bpf.h>

#include <string>
#include <vector>

#include "bpf/client/frame.hpp"
#include "bpf/surface/process.hpp"

namespace sluice::bpf {

class Answers {
 public:
  explicit Answers(Process& process) : process_(process) {}

  // What handlers of `cmd` are known to read: its keys, instructions, descriptors. What is not
  // there is left out.
  void guess(int cmd, const union bpf_attr& attr);
  // Finds the answer; false: it is one too many.
  bool add(const wire::Need& need);

  void put(wire::FrameWriter* frame) const;
  [[nodiscard]] uint32_t count() const { return static_cast<uint32_t>(answers_.size()); }
  [[nodiscard]] const std::vector<int>& descriptors() const { return descriptors_; }

 private:
  struct Item {
    wire::Answer answer;
    std::vector<char> bytes;
    int descriptor = -1;
  };
  void guess_memory(int cmd, const union bpf_attr& attr);
  void guess_file(uint32_t fd);
  void guess_map_loads(const union bpf_attr& attr);
  // `name`: open_directory's.
  int descriptor_for(const wire::Need& need, std::string* name);
  int link(const wire::Need& need);

  Process& process_;
  std::vector<Item> answers_;
  std::vector<int> descriptors_;  // in the answers' order; the process's, valid for the call
};

}  // namespace sluice::bpf
