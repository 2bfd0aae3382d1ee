#include "bpf/surface/log_buffer.hpp"

#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {

bool LogBuffer::valid() const {
  constexpr uint32_t kLevels = 15;  // Linux: BPF_LOG_LEVEL1, LEVEL2, STATS, FIXED
  if ((at != 0) != (size != 0) || (at != 0 && level == 0)) return false;
  return (level & ~kLevels) == 0 && size <= UINT32_MAX >> 2;
}

int write_log(Call& call, const LogBuffer& buffer, std::string_view text, size_t lost) {
  constexpr uint32_t kFixed = 8;
  if (buffer.level == 0) return 0;
  call.write_newer(buffer.true_size_at, static_cast<uint32_t>(lost + text.size() + 1));
  if (buffer.at == 0) return 0;
  const bool fits = lost == 0 && text.size() < buffer.size;
  if (text.size() >= buffer.size) {
    const size_t room = buffer.size - 1;
    text = (buffer.level & kFixed) != 0 ? text.substr(0, room) : text.substr(text.size() - room);
  }
  const std::string ended(text);
  if (const int error = call.copy_out(buffer.at, ended.c_str(), ended.size() + 1); error != 0)
    return error;
  return fits ? 0 : -ENOSPC;
}

}  // namespace sluice::bpf::surface
