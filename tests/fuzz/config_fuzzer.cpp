// libFuzzer target: any text through the configuration parser. An error, never a crash.
#include <cstdint>
#include <string>

#include "config/parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto config = sluice::config::parse_config_text(text, "fuzz.yaml", {});
  if (!config && config.error().text.empty()) __builtin_trap();
  return 0;
}
