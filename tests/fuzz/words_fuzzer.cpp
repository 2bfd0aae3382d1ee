// libFuzzer target: any bytes as a batch file, and its words as bytes and numbers.
#include <cstdint>
#include <cstdio>

#include "cli/tool/words.hpp"

using namespace sluice::cli;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto commands = split_commands({reinterpret_cast<const char*>(data), size});
  if (!commands) return 0;
  for (const auto& command : *commands) {
    if (command.words.empty() || command.line == 0) __builtin_trap();
    Words words(command.words);
    while (!words.empty()) {
      const size_t left = words.left();
      const auto bytes = words.take_bytes("key", left % 5 + 1);
      if (bytes && bytes->size() != left % 5 + 1) __builtin_trap();
      if (!bytes && words.left() == left) (void)words.take_number("number");
      if (words.left() >= left) __builtin_trap();
    }
  }
  return 0;
}
