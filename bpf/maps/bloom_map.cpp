#include "bpf/maps/bloom_map.hpp"

#include <bit>

#include "base/limits.hpp"
#include "bpf/maps/bloom_ops.hpp"
#include "bpf/maps/map_checks.hpp"
#include "bpf/maps/map_memory.hpp"
#include "bpf/maps/map_store.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kDefaultHashes = 5;
constexpr uint32_t kMaxHashes = 15;

// In front of the bits: MapCore's key, for a filter that outlives the process.
struct alignas(64) BloomHeader {
  uint64_t hash_key[2];
};

class BloomMap final : public Map {
 public:
  BloomMap(const MapSpec& spec, const MapCore& core, MapMemory memory)
      : Map(spec), memory_(std::move(memory)) {
    core_ = core;
    core_.values = memory_.data() + sizeof(BloomHeader);
  }

  // Asks for `value`; nothing is copied out.
  using Map::lookup;
  int lookup(const void* key, void* value, uint64_t flags) override {
    if (key != nullptr || flags != 0) return -EINVAL;
    return static_cast<int>(bloom_peek(&core_, value));
  }
  int update(const void* key, const void* value, uint64_t flags) override {
    return key != nullptr ? -EINVAL : static_cast<int>(bloom_push(&core_, value, flags));
  }
  int erase(const void*) override { return -EOPNOTSUPP; }
  int next_key(const void*, void*) override { return -EOPNOTSUPP; }

  [[nodiscard]] uint64_t entries() const override { return 0; }  // it cannot count them
  [[nodiscard]] uint64_t memory_bytes() const override { return memory_.bytes(); }
  [[nodiscard]] FileLoss file_loss() const override { return memory_.file_loss(); }

 private:
  MapMemory memory_;
};

}  // namespace

Status check_bloom(const MapSpec& spec) {
  if (Status good = check_keyless(spec); !good) return good;
  if (spec.value_size == 0) return fail(EINVAL, "value_size 0");
  if (spec.value_size > kMaxValueSize)
    return fail(E2BIG, "value_size " + std::to_string(spec.value_size));
  if (spec.extra > kMaxHashes) {
    return fail(EINVAL, "map_extra " + std::to_string(spec.extra) + ", more hash functions than " +
                            std::to_string(kMaxHashes));
  }
  return check_flags(spec, BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | kProgramAccess);
}

Result<std::shared_ptr<Map>> create_bloom(const MapSpec& spec) {
  MapCore core = core_of(spec);
  core.hashes = spec.extra == 0 ? kDefaultHashes : static_cast<uint32_t>(spec.extra);
  // n * k / ln 2 bits make the fewest false positives; 7 / 5 is near enough, as in Linux.
  const uint64_t wanted = uint64_t{spec.max_entries} * core.hashes * 7 / 5;
  const uint64_t bits = std::bit_ceil(std::min(std::max(wanted, uint64_t{64}), uint64_t{1} << 32));
  core.bucket_mask = static_cast<uint32_t>(bits - 1);
  auto memory =
      MapMemory::allocate_in(spec.store.get(), "values", sizeof(BloomHeader) + bits / 8, true);
  if (!memory) return fail(std::move(memory.error()));
  auto* header = reinterpret_cast<BloomHeader*>(memory->data());
  if (!reopened(spec)) {
    if (Status good = choose_hash_key(spec, header->hash_key); !good)
      return fail(std::move(good.error()));
  }
  core.hash_key[0] = header->hash_key[0];
  core.hash_key[1] = header->hash_key[1];
  return std::make_shared<BloomMap>(spec, core, std::move(*memory));
}

}  // namespace sluice::bpf
