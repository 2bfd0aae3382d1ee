#include "tests/bench/program_rows.hpp"

#include <arpa/inet.h>

#include <cstring>

namespace sluice::bench {
namespace {

struct Tuple {
  uint8_t addresses[8];
  uint8_t ports[4];
  uint32_t protocol;
};

// Of an untagged IPv4 TCP or UDP frame.
bool read_tuple(const Frame& frame, Tuple* tuple) {
  const uint8_t* at = frame.data;
  if (at[12] != 8 || at[13] != 0 || (at[23] != 6 && at[23] != 17)) return false;
  std::memcpy(tuple->addresses, at + 26, 8);
  std::memcpy(tuple->ports, at + 34, 4);
  tuple->protocol = at[23];
  return true;
}

void fill_nothing(const Traffic&, const Put&) {}

// One flow in ten, and as many more as make a table of some size.
void fill_blocked(const Traffic& traffic, const Put& put) {
  const uint64_t none[2] = {};
  Tuple tuple{};
  for (size_t i = 0; i < traffic.frames.size() && i < 40'000; i += 10) {
    if (read_tuple(traffic.frames[i], &tuple)) put("blocked", &tuple, none);
  }
  for (uint32_t i = 0; i < 8000; i++) {
    std::memcpy(tuple.addresses, &i, 4);
    put("blocked", &tuple, none);
  }
}

void fill_prefixes(const Traffic&, const Put& put) {
  struct {
    uint32_t length;
    uint8_t address[4];
  } prefix{};
  const auto add = [&](uint32_t length, uint32_t address, uint64_t drop) {
    prefix.length = length;
    for (int i = 0; i < 4; i++) prefix.address[i] = static_cast<uint8_t>(address >> (24 - 8 * i));
    const uint64_t verdict[2] = {0, drop};
    put("prefixes", &prefix, verdict);
  };
  add(8, 0x0a000000, 0);
  for (uint32_t i = 0; i < 16; i++) add(16, 0x0a000000 + (i << 16), i % 3 == 0);
  for (uint32_t i = 0; i < 4096; i++) add(24, 0x0a000000 + (i << 8), i % 7 == 0);
  for (uint32_t i = 0; i < 4096; i++) add(32, 0x0a000000 + i * 251, i % 2);
}

void fill_vlans(const Traffic&, const Put& put) {
  const uint8_t blocked = 1;
  for (const uint32_t id : {5u, 9u, 25u, 50u}) put("vlan_blocked", &id, &blocked);
}

void fill_ports(const Traffic&, const Put& put) {
  const uint8_t allowed = 1;
  for (const uint16_t port : {uint16_t{25}, uint16_t{123}}) put("allowed_ports", &port, &allowed);
}

void fill_services(const Traffic&, const Put& put) {
  const uint64_t none[2] = {};
  for (const uint16_t port : {22, 80, 143, 443, 993, 5432, 8080}) put("services", &port, none);
}

void fill_classes(const Traffic&, const Put& put) {
  enum : uint32_t { kWeb = 2, kInteractive, kBulk };  // as in tc_classify.bpf.c
  const std::pair<uint16_t, uint32_t> classes[] = {
      {80, kWeb},         {443, kWeb}, {8080, kWeb}, {22, kInteractive},
      {53, kInteractive}, {25, kBulk}, {873, kBulk}};
  for (const auto& [port, kind] : classes) {
    const uint16_t wire = htons(port);
    put("port_classes", &wire, &kind);
  }
}

// Ports beside the flows of the 5-tuple ACL.
void fill_blocked_ports(const Traffic& traffic, const Put& put) {
  fill_blocked(traffic, put);
  const uint64_t none[2] = {};
  for (const uint16_t port : {23, 25, 135, 445, 3389}) {
    const uint16_t wire = htons(port);
    put("blocked_ports", &wire, none);
  }
}

// Two of the names that the traffic asks for, and a hundred that it does not.
void fill_names(const Traffic&, const Put& put) {
  const uint64_t none = 0;
  for (const uint8_t letter : {'a', 'k'}) {
    uint32_t hash = 2166136261u;
    for (const uint8_t byte :
         {uint8_t{3}, uint8_t{'w'}, uint8_t{'w'}, uint8_t{'w'}, uint8_t{2}, letter, uint8_t{'b'}}) {
      hash = (hash ^ byte) * 16777619u;
    }
    put("blocked_names", &hash, &none);
  }
  for (uint32_t i = 0; i < 100; i++) put("blocked_names", &i, &none);
}

void fill_ring(const Traffic&, const Put& put) {
  for (uint32_t slot = 0; slot < 1024; slot++) {
    const uint32_t backend = slot * 7 % 16;
    put("ring", &slot, &backend);
  }
}

const ProgramRow kRows[] = {
    {"protocol count",
     "bpf/programs/proto_count.bpf.c",
     "count_protocols",
     fill_nothing,
     {"proto_packets", "proto_bytes"}},
    {"flow count",
     "bpf/programs/flow_count.bpf.c",
     "count_flows",
     fill_nothing,
     {"flows", "flows_missed"}},
    {"5-tuple ACL", "tests/bench/programs/acl_exact.bpf.c", "acl_exact", fill_blocked, {"blocked"}},
    {"prefix ACL",
     "tests/bench/programs/acl_prefix.bpf.c",
     "acl_prefix",
     fill_prefixes,
     {"prefixes"}},
    {"VLAN filter", "bpf/programs/vlan_filter.bpf.c", "filter_vlans", fill_vlans, {"vlan_packets"}},
    {"TCP port filter",
     "tests/bench/programs/tcp_ports.bpf.c",
     "tcp_ports",
     fill_nothing,
     {},
     false},
    {"port filter with map",
     "bpf/programs/port_filter.bpf.c",
     "filter_ports",
     fill_ports,
     {"allowed_ports"}},
    {"header sanity", "tests/bench/programs/sanity.bpf.c", "sanity", fill_nothing, {}, false},
    {"DNS count", "bpf/programs/dns_count.bpf.c", "count_queries", fill_nothing, {"dns_queries"}},
    {"DNS name filter",
     "tests/bench/programs/dns_block.bpf.c",
     "dns_block",
     fill_names,
     {"blocked_names"}},
    {"size histogram",
     "bpf/programs/size_histogram.bpf.c",
     "count_sizes",
     fill_nothing,
     {"size_packets", "size_bytes"}},
    {"SYN limiter", "tests/bench/programs/syn_limit.bpf.c", "syn_limit", fill_nothing, {}},
    {"token bucket", "tests/bench/programs/token_bucket.bpf.c", "token_bucket", fill_nothing, {}},
    {"per-CPU count",
     "tests/bench/programs/percpu_count.bpf.c",
     "percpu_count",
     fill_nothing,
     {"protocols"}},
    {"subprograms",
     "tests/bench/programs/subprograms.bpf.c",
     "subprograms",
     fill_nothing,
     {"classes"}},
    {"L4 balancer",
     "tests/bench/programs/balancer.bpf.c",
     "balancer",
     fill_ring,
     {"backends", "sticky"}},
    {"count-min sketch", "tests/bench/programs/sketch.bpf.c", "sketch", fill_nothing, {"cells"}},
    {"LRU flows", "tests/bench/programs/lru_flows.bpf.c", "lru_flows", fill_nothing, {"flows"}},
    {"tail-call dispatcher",
     "tests/bench/programs/dispatcher.bpf.c",
     "dispatch",
     fill_services,
     {"services", "resolvers", "next_headers", "ethertypes"}},
    {"xdp filter",
     "tests/bench/programs/xdp_filter.bpf.c",
     "xdp_filter",
     fill_blocked_ports,
     {"blocked_ports", "blocked", "actions"}},
    {"tc classifier",
     "tests/bench/programs/tc_classify.bpf.c",
     "tc_classify",
     fill_classes,
     {"classes"}},
};

}  // namespace

std::span<const ProgramRow> program_rows() { return kRows; }

Contents contents_of(bpf::Map& map) {
  const bool per_cpu = bpf::is_per_cpu(map.spec().type);
  const uint32_t size = per_cpu ? (map.spec().value_size + 7) / 8 * 8 : map.spec().value_size;
  Contents all;
  std::string key(map.spec().key_size, '\0');
  std::string value(map.user_value_size(), '\0');
  for (int more = map.next_key(nullptr, key.data()); more == 0;
       more = map.next_key(key.data(), key.data())) {
    if (map.lookup(key.data(), value.data()) != 0) continue;
    std::vector<uint64_t> sum((size + 7) / 8);
    for (size_t at = 0; per_cpu && at < value.size(); at += 8) {
      uint64_t word;
      std::memcpy(&word, value.data() + at, 8);
      sum[at % size / 8] += word;
    }
    all[key] = per_cpu ? std::string(reinterpret_cast<const char*>(sum.data()), size) : value;
  }
  return all;
}

bpf::LoadedProgram load_row(Bench& bench, const std::string& object, const ProgramRow& row,
                            const Traffic& traffic, std::string* why) {
  auto loaded = bpf::load_object(bench.surface, {row.name, object, row.entry});
  if (!loaded) {
    *why = loaded.error().text.substr(0, loaded.error().text.find('\n'));
    return {};
  }
  row.fill(traffic, [&](const char* map, const void* key, const void* value) {
    const int error = loaded->maps.at(map)->update(key, value, BPF_ANY);
    if (error != 0) give_up(std::string(row.name) + ": fill " + map + ": " + std::strerror(-error));
  });
  return std::move(*loaded);
}

}  // namespace sluice::bench
