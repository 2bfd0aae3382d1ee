// MAP_CREATE: which shapes each type takes, and with which errno it refuses the rest.
#include "tests/smoke/transcripts/transcript.hpp"

namespace transcript {
namespace {

struct Case {
  const char* what;
  Shape shape;
};

constexpr Case kCases[] = {
    {"type 0", {0, 4, 4, 1}},
    {"type 999", {999, 4, 4, 1}},
    {"hash", {BPF_MAP_TYPE_HASH, 4, 4, 1}},
    {"hash, key_size 0", {BPF_MAP_TYPE_HASH, 0, 4, 1}},
    {"hash, value_size 0", {BPF_MAP_TYPE_HASH, 4, 0, 1}},
    {"hash, max_entries 0", {BPF_MAP_TYPE_HASH, 4, 4, 0}},
    {"hash, key_size 512", {BPF_MAP_TYPE_HASH, 512, 4, 1}},
    {"hash, key_size 600", {BPF_MAP_TYPE_HASH, 600, 4, 1}},
    {"hash, max_entries 2^32-1", {BPF_MAP_TYPE_HASH, 4, 4, 0xffffffffu}},
    {"hash, NO_PREALLOC", {BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_NO_PREALLOC}},
    {"hash, NO_COMMON_LRU", {BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_NO_COMMON_LRU}},
    {"hash, ZERO_SEED", {BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_ZERO_SEED}},
    {"hash, MMAPABLE", {BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_MMAPABLE}},
    {"hash, RDONLY and WRONLY", {BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_RDONLY | BPF_F_WRONLY}},
    {"hash, RDONLY_PROG and WRONLY_PROG",
     {BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG}},
    {"array", {BPF_MAP_TYPE_ARRAY, 4, 4, 1}},
    {"array, key_size 8", {BPF_MAP_TYPE_ARRAY, 8, 4, 1}},
    {"array, value_size 0", {BPF_MAP_TYPE_ARRAY, 4, 0, 1}},
    {"array, max_entries 0", {BPF_MAP_TYPE_ARRAY, 4, 4, 0}},
    {"array, NO_PREALLOC", {BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_NO_PREALLOC}},
    {"array, MMAPABLE", {BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_MMAPABLE}},
    {"array, INNER_MAP", {BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_INNER_MAP}},
    {"array, value_size 2^31", {BPF_MAP_TYPE_ARRAY, 4, 0x80000000u, 1}},
    {"percpu_array", {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 4, 1}},
    {"percpu_array, MMAPABLE", {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 4, 1, BPF_F_MMAPABLE}},
    {"percpu_array, value_size 32768", {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 32768, 1}},
    {"percpu_array, value_size 32776", {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 32776, 1}},
    {"percpu_array, NUMA_NODE", {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 4, 1, BPF_F_NUMA_NODE}},
    {"percpu_hash", {BPF_MAP_TYPE_PERCPU_HASH, 4, 4, 1}},
    {"percpu_hash, value_size 32776", {BPF_MAP_TYPE_PERCPU_HASH, 4, 32776, 1}},
    {"lru_hash", {BPF_MAP_TYPE_LRU_HASH, 4, 4, 1}},
    {"lru_hash, NO_COMMON_LRU", {BPF_MAP_TYPE_LRU_HASH, 4, 4, 1, BPF_F_NO_COMMON_LRU}},
    {"lru_hash, NO_PREALLOC", {BPF_MAP_TYPE_LRU_HASH, 4, 4, 1, BPF_F_NO_PREALLOC}},
    {"lru_percpu_hash", {BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 4, 1}},
    {"lpm_trie without NO_PREALLOC", {BPF_MAP_TYPE_LPM_TRIE, 8, 4, 1}},
    {"lpm_trie", {BPF_MAP_TYPE_LPM_TRIE, 8, 4, 1, BPF_F_NO_PREALLOC}},
    {"lpm_trie, key_size 4", {BPF_MAP_TYPE_LPM_TRIE, 4, 4, 1, BPF_F_NO_PREALLOC}},
    {"lpm_trie, key_size 260", {BPF_MAP_TYPE_LPM_TRIE, 260, 4, 1, BPF_F_NO_PREALLOC}},
    {"lpm_trie, key_size 261", {BPF_MAP_TYPE_LPM_TRIE, 261, 4, 1, BPF_F_NO_PREALLOC}},
    {"prog_array", {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1}},
    {"prog_array, value_size 8", {BPF_MAP_TYPE_PROG_ARRAY, 4, 8, 1}},
    {"prog_array, RDONLY_PROG", {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1, BPF_F_RDONLY_PROG}},
    {"perf_event_array", {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2}},
    {"perf_event_array, value_size 8", {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 8, 2}},
    {"perf_event_array, PRESERVE_ELEMS",
     {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2, BPF_F_PRESERVE_ELEMS}},
    {"array_of_maps without inner", {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1}},
    {"hash_of_maps without inner", {BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 1}},
    {"queue", {BPF_MAP_TYPE_QUEUE, 0, 4, 1}},
    {"queue, key_size 4", {BPF_MAP_TYPE_QUEUE, 4, 4, 1}},
    {"queue, value_size 0", {BPF_MAP_TYPE_QUEUE, 0, 0, 1}},
    {"queue, max_entries 0", {BPF_MAP_TYPE_QUEUE, 0, 4, 0}},
    {"queue, NO_PREALLOC", {BPF_MAP_TYPE_QUEUE, 0, 4, 1, BPF_F_NO_PREALLOC}},
    {"stack", {BPF_MAP_TYPE_STACK, 0, 4, 1}},
    {"stack, key_size 4", {BPF_MAP_TYPE_STACK, 4, 4, 1}},
    {"bloom_filter", {BPF_MAP_TYPE_BLOOM_FILTER, 0, 4, 1}},
    {"bloom_filter, key_size 4", {BPF_MAP_TYPE_BLOOM_FILTER, 4, 4, 1}},
    {"bloom_filter, value_size 0", {BPF_MAP_TYPE_BLOOM_FILTER, 0, 0, 1}},
    {"ringbuf", {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096}},
    {"ringbuf of 4095 bytes", {BPF_MAP_TYPE_RINGBUF, 0, 0, 4095}},
    {"ringbuf of 12288 bytes", {BPF_MAP_TYPE_RINGBUF, 0, 0, 12288}},
    {"ringbuf of 2048 bytes", {BPF_MAP_TYPE_RINGBUF, 0, 0, 2048}},
    {"ringbuf, key_size 4", {BPF_MAP_TYPE_RINGBUF, 4, 0, 4096}},
    {"ringbuf, value_size 4", {BPF_MAP_TYPE_RINGBUF, 0, 4, 4096}},
    {"devmap", {BPF_MAP_TYPE_DEVMAP, 4, 4, 1}},
    {"devmap, value_size 8", {BPF_MAP_TYPE_DEVMAP, 4, 8, 1}},
    {"devmap, value_size 12", {BPF_MAP_TYPE_DEVMAP, 4, 12, 1}},
    {"devmap_hash", {BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 1}},
    {"cpumap", {BPF_MAP_TYPE_CPUMAP, 4, 4, 1}},
    {"cpumap, value_size 12", {BPF_MAP_TYPE_CPUMAP, 4, 12, 1}},
    {"xskmap", {BPF_MAP_TYPE_XSKMAP, 4, 4, 1}},
    {"xskmap, value_size 8", {BPF_MAP_TYPE_XSKMAP, 4, 8, 1}},
    {"an unknown flag", {BPF_MAP_TYPE_ARRAY, 4, 4, 1, 1u << 30}},
};

Attr array_attr() {
  Attr attr;
  attr->map_type = BPF_MAP_TYPE_ARRAY;
  attr->key_size = attr->value_size = 4;
  attr->max_entries = 1;
  return attr;
}

void fields_of_create(Transcript& t) {
  Attr attr = array_attr();
  std::strcpy(attr->map_name, "good_Name.1");
  t.say("a name", BPF_MAP_CREATE, attr);
  std::strcpy(attr->map_name, "a-b");
  t.say("a name with '-'", BPF_MAP_CREATE, attr);
  std::memset(attr->map_name, 'a', 16);
  t.say("a name without its zero", BPF_MAP_CREATE, attr);
  attr = array_attr();
  attr->map_name[2] = 'x';
  t.say("a name with bytes behind its end", BPF_MAP_CREATE, attr);
  attr = array_attr();
  attr->map_extra = 1;
  t.say("map_extra on an array", BPF_MAP_CREATE, attr);
  attr = array_attr();
  attr->numa_node = 1;
  t.say("numa_node without its flag", BPF_MAP_CREATE, attr);
  attr->map_flags = BPF_F_NUMA_NODE;
  attr->numa_node = 0;
  t.say("numa_node 0", BPF_MAP_CREATE, attr);
  attr->numa_node = 5000;
  t.say("numa_node 5000", BPF_MAP_CREATE, attr);
  attr = array_attr();
  attr->inner_map_fd = 1;
  t.say("inner_map_fd on an array", BPF_MAP_CREATE, attr);
  attr = array_attr();
  attr->map_ifindex = 1;
  t.say("map_ifindex", BPF_MAP_CREATE, attr);
  attr = array_attr();
  attr->btf_vmlinux_value_type_id = 1;
  t.say("btf_vmlinux_value_type_id", BPF_MAP_CREATE, attr);
  attr = array_attr();
  attr->btf_key_type_id = 1;
  t.say("btf_key_type_id alone", BPF_MAP_CREATE, attr);
  attr->btf_value_type_id = 1;
  attr->btf_fd = 9999;
  t.say("btf_fd closed", BPF_MAP_CREATE, attr);
  attr->btf_fd = 1;
  t.say("btf_fd no BTF", BPF_MAP_CREATE, attr);
  attr = array_attr();
  attr->btf_fd = 9999;
  t.say("btf_fd without type ids", BPF_MAP_CREATE, attr);
}

void bloom_hashes(Transcript& t) {
  Attr attr;
  attr->map_type = BPF_MAP_TYPE_BLOOM_FILTER;
  attr->value_size = 4;
  attr->max_entries = 10;
  for (const uint64_t extra : {1u, 15u, 16u, 255u}) {
    attr->map_extra = extra;
    t.say("bloom_filter, map_extra " + std::to_string(extra), BPF_MAP_CREATE, attr);
  }
}

}  // namespace

void map_create_rules(Transcript& t) {
  for (const auto& one : kCases) t.close(t.say_create(one.what, one.shape));
  fields_of_create(t);
  bloom_hashes(t);
}

}  // namespace transcript
