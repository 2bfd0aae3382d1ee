#include "bpf/loader/refusal.hpp"

#include <algorithm>

namespace sluice::bpf {
namespace {

constexpr int kLogLines = 24;

// The last lines: that is where the verifier stopped.
std::string log_end(const std::string& log) {
  const auto total = std::count(log.begin(), log.end(), '\n');
  if (total <= kLogLines) return log;
  size_t from = 0;
  for (auto skip = total - kLogLines; skip > 0; skip--) from = log.find('\n', from) + 1;
  std::string end = "(";
  end += std::to_string(total - kLogLines);
  return end + " lines omitted)\n" + log.substr(from);
}

}  // namespace

Error refusal(const LoadFailure& failure) {
  Error error = failure.error;
  std::string more = log_end(failure.log);
  if (!more.empty() && more.back() != '\n') more += '\n';
  more += failure.details;
  while (!more.empty() && more.back() == '\n') more.pop_back();
  if (!more.empty()) error.text += "\n" + more;
  return error;
}

}  // namespace sluice::bpf
