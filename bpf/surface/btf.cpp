// BTF_LOAD, and reading BTF strings.
#include "bpf/surface/btf.hpp"

#include "bpf/surface/btf_check.hpp"
#include "bpf/surface/call.hpp"
#include "bpf/surface/log_buffer.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr uint32_t kBtfMax = 16u << 20;  // Linux: BTF_MAX_SIZE

}  // namespace

std::string_view btf_string(std::span<const uint8_t> blob, uint32_t offset) {
  btf_header header;
  std::memcpy(&header, blob.data(), sizeof header);
  if (offset >= header.str_len) return {};
  return reinterpret_cast<const char*>(blob.data() + header.hdr_len + header.str_off + offset);
}

long btf_load(Call& call) {
  const auto& attr = call.attr;
  if (call.newer<uint32_t>(kBtfFlagsAt) != 0) return -EINVAL;  // BPF_F_TOKEN_FD
  if (attr.btf_size > kBtfMax) return -E2BIG;
  LogBuffer log{attr.btf_log_buf, attr.btf_log_size, attr.btf_log_level, kBtfLogTrueSizeAt};
  if (!log.valid()) return -EINVAL;
  auto btf = std::make_shared<BtfObject>();
  if (const int error = call.copy_in(attr.btf, attr.btf_size, &btf->blob); error != 0) return error;
  const BtfFault fault = check_btf(btf->blob);
  const int logged = write_log(call, log, fault.error == 0 ? "" : fault.reason + "\n");
  if (logged != 0) return logged;
  if (fault.error != 0) return -fault.error;
  btf->uid = call.caller.uid;
  call.objects.add(btf);
  return call.objects.open({btf});
}

}  // namespace sluice::bpf::surface
