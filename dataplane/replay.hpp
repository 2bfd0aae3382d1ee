// Replay: a capture file through a chain, by the same worker code as a port's packets; the calling
// thread is the worker. Needs no Eal, no hugepages, no root.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "dataplane/chain.hpp"

namespace sluice::bpf {
class TraceSink;
}

namespace sluice::dataplane {

struct ReplayProgress {
  uint64_t packets = 0;
  uint64_t read_bytes = 0;   // of the file, this round
  uint64_t file_bytes = 0;   // 0: unknown (a pipe)
  uint32_t round = 0;        // of loops
};

struct ReplayRequest {
  std::string capture;                  // path; "-" is standard input
  // compiled for kReplayLayout; its action is ignored: what passes is written
  Chain chain;
  std::optional<std::string> write;     // what passes goes here, once all of it is written
  std::optional<std::string> expect;    // and is compared with this capture
  uint32_t loops = 1;                   // -w and expect see every round
  uint32_t ifindex = 1;
  uint32_t ports = 1;                   // what programs send to one of so many ports passes as well
  bpf::TraceSink* trace = nullptr;
  const std::atomic<bool>* stop = nullptr;  // set by a signal: the replay ends early, as ECANCELED
  std::function<void(const ReplayProgress&)> progress;  // about four times a second
};

struct ReplayProgram {
  std::string name;
  bpf::ProgramCounters counters;
};

struct ReplayStats {
  uint64_t packets = 0;
  uint64_t bytes = 0;            // on the wire
  uint64_t captured_bytes = 0;
  uint64_t passed = 0;
  uint64_t passed_bytes = 0;     // captured, after trimming
  uint64_t dropped = 0;            // by programs, or sent by one to a port that is not there
  uint64_t trimmed = 0;
  double seconds = 0;            // first packet to last
  std::vector<ReplayProgram> programs;
  std::optional<std::string> difference;  // from `expect`: the first one, a sentence
};

// errors begin with "capture FILE:", a bad record with its packet number as well; nothing is left
// at `write` then.
Result<ReplayStats> replay(const ReplayRequest& request);

}  // namespace sluice::dataplane
