// The log: one line a message on standard error, "level: text". Control threads only; the packet
// path hands its messages over (helpers/trace.hpp) instead of calling this.
#pragma once

#include <string_view>

namespace sluice {

enum class LogLevel { debug, info, warning, error };

void set_log_level(LogLevel lowest);
void log(LogLevel level, std::string_view text);
inline void log_debug(std::string_view text) { log(LogLevel::debug, text); }
inline void log_info(std::string_view text) { log(LogLevel::info, text); }
inline void log_warning(std::string_view text) { log(LogLevel::warning, text); }
inline void log_error(std::string_view text) { log(LogLevel::error, text); }

}  // namespace sluice
