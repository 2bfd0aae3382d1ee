// libFuzzer target: raw instruction bytes through the verifier; what it accepts runs in the
// interpreter, under ASan, on a packet. No crash, hang or leak, and no access out of bounds.
#include <cstring>
#include <vector>

#include "bpf/interp/interp.hpp"
#include "bpf/verifier/verifier.hpp"

using namespace sluice::bpf;

namespace {

std::shared_ptr<Map> make_map(uint32_t type) {
  MapSpec spec;
  spec.type = type;
  spec.key_size = 4;
  spec.value_size = 16;
  spec.max_entries = 4;
  return *Map::create(spec);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<std::shared_ptr<Map>> maps{make_map(BPF_MAP_TYPE_ARRAY),
                                                      make_map(BPF_MAP_TYPE_HASH)};
  VerifierInput input;
  input.type = BPF_PROG_TYPE_SOCKET_FILTER;
  input.gpl_compatible = true;
  input.log_level = 1;
  input.maps = maps;
  input.insns.resize(size / sizeof(Insn));
  if (!input.insns.empty())
    std::memcpy(input.insns.data(), data, input.insns.size() * sizeof(Insn));
  const VerifierResult result = verify(input);
  if (result.program == nullptr) return 0;
  std::vector<uint8_t> bytes(60, 0x45);
  LinearPacket packet{bytes.data(), 0, 0, 60, 60, 0};
  RunEnv env;
  PacketContext ctx;
  load_context(&ctx, kLinearLayout, &packet, &env);
  interpret(*result.program, &ctx);
  return 0;
}
