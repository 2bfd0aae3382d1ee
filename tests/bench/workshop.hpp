// What is compiled while the benchmark runs: BPF objects and native code, both by clang-19, in a
// folder that goes with it.
#pragma once

#include <string>

#include "base/result.hpp"

namespace sluice::bench {

class Workshop {
 public:
  Workshop();
  ~Workshop();
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;

  // The object of a BPF program's source (relative to the project's root), with more flags such as
  // -DKEY_SIZE=8. Its path.
  Result<std::string> bpf_object(const std::string& source, const std::string& flags);
  // C (or C++, by `language` c++) text to machine code at -O3 -march=native; the address of its
  // symbol `burst`. Stays loaded.
  Result<void*> native_code(const std::string& text, const std::string& language);

 private:
  Status run(const std::string& command);
  std::string path(const std::string& ending);
  std::string folder_;
  int files_ = 0;
};

}  // namespace sluice::bench
