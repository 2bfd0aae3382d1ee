#include <bpf/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "bpf/loader/loader.hpp"
#include "tests/unit/surface/client.hpp"

namespace sluice::bpf {
namespace {

const std::string kObjects = SLUICE_BPF_OBJECTS;        // the shipped programs
const std::string kTestObjects = SLUICE_TEST_OBJECTS;   // those of this folder
const char* const kShipped[] = {"proto_count", "flow_count", "port_filter",
                                "vlan_filter", "dns_count",  "size_histogram"};

Result<LoadedProgram> load_path(BpfSurface& surface, const std::string& path,
                                const std::string& program = "") {
  return load_object(surface, {.name = "test", .path = path, .program = program});
}

// A file of the test's own, gone with it.
struct TemporaryFile {
  std::string path = testing::TempDir() + "sluice_object_" + std::to_string(::getpid());
  TemporaryFile(const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  ~TemporaryFile() { std::remove(path.c_str()); }
};

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string error_of(const std::string& bytes) {
  const TemporaryFile file(bytes);
  BpfSurface surface;
  const auto loaded = load_path(surface, file.path);
  EXPECT_FALSE(loaded.has_value());
  if (loaded) return {};
  EXPECT_TRUE(loaded.error().text.starts_with("load " + file.path + ": ")) << loaded.error().text;
  return loaded.error().text;
}

uint64_t value_at(Map& map, uint32_t key) {
  uint64_t value = 0;
  EXPECT_EQ(map.lookup(&key, &value), 0);
  return value;
}

uint32_t run(BpfSurface& surface, const LoadedProgram& loaded, const std::vector<uint8_t>& frame) {
  Client client{surface};
  auto attr = empty_attr();
  attr.prog_id = loaded.id;
  const long fd = client.bpf(BPF_PROG_GET_FD_BY_ID, attr);
  EXPECT_GE(fd, 0);
  attr = empty_attr();
  attr.test.prog_fd = static_cast<uint32_t>(fd);
  attr.test.data_in = address(frame.data());
  attr.test.data_size_in = static_cast<uint32_t>(frame.size());
  EXPECT_EQ(surface.bpf({}, BPF_PROG_TEST_RUN, &attr, sizeof attr), 0);
  surface.close(static_cast<int>(fd));
  return attr.test.retval;
}

// Untagged IPv4 with a header of 20 bytes; the ports go where TCP and UDP have them.
std::vector<uint8_t> ipv4_frame(uint8_t protocol, uint16_t destination_port,
                                const std::vector<uint8_t>& payload = {}) {
  constexpr size_t kHeaders = 14 + 20 + 8;
  std::vector<uint8_t> frame(kHeaders + payload.size());
  frame[12] = 0x08;
  frame[14] = 0x45;
  frame[23] = protocol;
  frame[36] = static_cast<uint8_t>(destination_port >> 8);
  frame[37] = static_cast<uint8_t>(destination_port);
  for (size_t i = 0; i < payload.size(); i++) frame[kHeaders + i] = payload[i];
  return frame;
}

TEST(Loader, EveryShippedProgramLoadsAndHoldsItsMaps) {
  BpfSurface surface;
  for (const std::string name : kShipped) {
    const auto loaded = load_path(surface, kObjects + "/" + name + ".bpf.o");
    ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
    EXPECT_FALSE(loaded->maps.empty()) << name;
    EXPECT_NE(surface.objects().program(loaded->id), nullptr) << name;
  }
}

TEST(Loader, ObjectsGoWhenTheLoadedProgramGoes) {
  BpfSurface surface;
  {
    const auto loaded = load_path(surface, kObjects + "/proto_count.bpf.o");
    ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
    EXPECT_NE(surface.objects().program_after(0), nullptr);
  }
  surface.objects().sweep();
  EXPECT_EQ(surface.objects().program_after(0), nullptr);
  EXPECT_EQ(surface.objects().map_after(0), nullptr);
  EXPECT_EQ(surface.objects().btf_after(0), nullptr);
}

TEST(ShippedPrograms, ProtoCountCountsPacketsAndWireBytesOfUntaggedIpv4) {
  BpfSurface surface;
  const auto loaded = load_path(surface, kObjects + "/proto_count.bpf.o");
  ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
  EXPECT_EQ(run(surface, *loaded, ipv4_frame(6, 80)), 0xffffffffu);
  run(surface, *loaded, ipv4_frame(17, 53));
  run(surface, *loaded, ipv4_frame(17, 54));
  std::vector<uint8_t> tagged(60);
  tagged[12] = 0x81;
  tagged[23] = 17;
  EXPECT_EQ(run(surface, *loaded, tagged), 0xffffffffu);
  EXPECT_EQ(run(surface, *loaded, std::vector<uint8_t>(14)), 0xffffffffu);
  EXPECT_EQ(value_at(*loaded->maps.at("proto_packets"), 6), 1u);
  EXPECT_EQ(value_at(*loaded->maps.at("proto_packets"), 17), 2u);
  EXPECT_EQ(value_at(*loaded->maps.at("proto_bytes"), 17), 84u);
}

TEST(ShippedPrograms, PortFilterPassesBuiltInAndAddedPorts) {
  BpfSurface surface;
  const auto loaded = load_path(surface, kObjects + "/port_filter.bpf.o");
  ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
  EXPECT_NE(run(surface, *loaded, ipv4_frame(6, 443)), 0u);
  EXPECT_EQ(run(surface, *loaded, ipv4_frame(6, 25)), 0u);
  EXPECT_EQ(run(surface, *loaded, ipv4_frame(1, 443)), 0u);
  const uint16_t port = 25;
  const uint8_t yes = 1;
  ASSERT_EQ(loaded->maps.at("allowed_ports")->update(&port, &yes, BPF_ANY), 0);
  EXPECT_NE(run(surface, *loaded, ipv4_frame(6, 25)), 0u);
}

TEST(ShippedPrograms, DnsCountReadsTheTypeBehindTheName) {
  BpfSurface surface;
  const auto loaded = load_path(surface, kObjects + "/dns_count.bpf.o");
  ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
  std::vector<uint8_t> query(12);
  for (const char* label : {"www", "example", "org"}) {
    query.push_back(static_cast<uint8_t>(std::strlen(label)));
    query.insert(query.end(), label, label + std::strlen(label));
  }
  query.insert(query.end(), {0, 0, 28, 0, 1});
  run(surface, *loaded, ipv4_frame(17, 53, query));
  query[2] = 0x80;  // a response
  run(surface, *loaded, ipv4_frame(17, 53, query));
  EXPECT_EQ(value_at(*loaded->maps.at("dns_queries"), 28), 1u);
}

TEST(ShippedPrograms, FlowCountAndSizeHistogramAndVlanFilterCount) {
  BpfSurface surface;
  const auto flows = load_path(surface, kObjects + "/flow_count.bpf.o");
  const auto sizes = load_path(surface, kObjects + "/size_histogram.bpf.o");
  const auto vlans = load_path(surface, kObjects + "/vlan_filter.bpf.o");
  ASSERT_TRUE(flows && sizes && vlans);
  for (int i = 0; i < 3; i++) run(surface, *flows, ipv4_frame(6, 80));
  run(surface, *flows, ipv4_frame(6, 81));
  EXPECT_EQ(flows->maps.at("flows")->entries(), 2u);
  run(surface, *sizes, std::vector<uint8_t>(64));
  run(surface, *sizes, std::vector<uint8_t>(127));
  EXPECT_EQ(value_at(*sizes->maps.at("size_packets"), 6), 2u);
  EXPECT_EQ(value_at(*sizes->maps.at("size_bytes"), 6), 191u);
  std::vector<uint8_t> tagged(60);
  tagged[12] = 0x81;
  tagged[15] = 42;
  EXPECT_NE(run(surface, *vlans, tagged), 0u);
  const uint32_t vlan = 42;
  const uint8_t yes = 1;
  ASSERT_EQ(vlans->maps.at("vlan_blocked")->update(&vlan, &yes, BPF_ANY), 0);
  EXPECT_EQ(run(surface, *vlans, tagged), 0u);
  EXPECT_EQ(value_at(*vlans->maps.at("vlan_packets"), 42), 2u);
}

TEST(Loader, GlobalDataAndKconfigAndAnySectionNameWork) {
  BpfSurface surface;
  const auto loaded = load_path(surface, kTestObjects + "/globals.bpf.o");
  ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
  // 5 in .data grows by one a packet; .rodata adds 100; the kernel version is the one we speak for.
  EXPECT_EQ(run(surface, *loaded, std::vector<uint8_t>(60)), 106u);
  EXPECT_EQ(run(surface, *loaded, std::vector<uint8_t>(60)), 107u);
}

TEST(Loader, AProgramIsChosenByNameAmongSeveral) {
  BpfSurface surface;
  const std::string path = kTestObjects + "/several.bpf.o";
  const auto unnamed = load_path(surface, path);
  ASSERT_FALSE(unnamed.has_value());
  EXPECT_NE(unnamed.error().text.find("several programs, name one: keep_all, keep_none"),
            std::string::npos)
      << unnamed.error().text;
  const auto named = load_path(surface, path, "keep_none");
  ASSERT_TRUE(named.has_value()) << named.error().text;
  EXPECT_EQ(run(surface, *named, std::vector<uint8_t>(60)), 0u);
  const auto missing = load_path(surface, path, "keep_some");
  ASSERT_FALSE(missing.has_value());
  EXPECT_NE(missing.error().text.find("no program \"keep_some\"; the object has keep_all"),
            std::string::npos);
}

size_t count_programs(BpfSurface& surface) {
  size_t count = 0;
  for (auto program = surface.objects().program_after(0); program != nullptr;
       program = surface.objects().program_after(program->id)) {
    count++;
  }
  return count;
}

TEST(Loader, AProgArrayOfTheObjectBeginsWithItsPrograms) {
  BpfSurface surface;
  {
    const auto loaded = load_path(surface, kTestObjects + "/stages.bpf.o", "by_length");
    ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
    EXPECT_EQ(run(surface, *loaded, std::vector<uint8_t>(60)), 10u);
    EXPECT_EQ(run(surface, *loaded, std::vector<uint8_t>(160)), 20u);
    EXPECT_EQ(run(surface, *loaded, std::vector<uint8_t>(260)), 0u);
    EXPECT_EQ(count_programs(surface), 3u);
  }
  surface.objects().sweep();
  EXPECT_EQ(count_programs(surface), 0u);
  EXPECT_EQ(surface.objects().map_after(0), nullptr);
}

TEST(Loader, AProprietaryProgramMayNotTrace) {
  BpfSurface surface;
  const std::string path = kTestObjects + "/web.bpf.o";
  const auto loaded = load_path(surface, path);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().text.substr(0, loaded.error().text.find('\n')),
            "load " + path +
                ": program web_only: licence \"Proprietary\" is not GPL-compatible, but it calls "
                "bpf_trace_printk (gpl_only)");
}

TEST(Loader, ARejectedProgramShowsTheSourceLine) {
  BpfSurface surface;
  const auto loaded = load_path(surface, kTestObjects + "/rejected.bpf.o");
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().text.find("program reads_null: "), std::string::npos)
      << loaded.error().text;
  EXPECT_NE(loaded.error().text.find("rejected.bpf.c:"), std::string::npos) << loaded.error().text;
}

TEST(Loader, BadFilesAreToldApart) {
  EXPECT_NE(error_of("").find("the file is empty"), std::string::npos);
  EXPECT_NE(error_of("int main;\n").find("not an ELF object"), std::string::npos);
  EXPECT_NE(error_of(read_file("/bin/true")).find("wrong architecture: built for x86-64, not BPF"),
            std::string::npos);
  const std::string whole = read_file(kObjects + "/proto_count.bpf.o");
  ASSERT_GT(whole.size(), 1000u);
  EXPECT_NE(error_of(whole.substr(0, 40)).find("truncated"), std::string::npos);
  EXPECT_NE(error_of(whole.substr(0, whole.size() / 2)).find("truncated"), std::string::npos);
  BpfSurface surface;
  const auto none = load_path(surface, kTestObjects + "/no_programs.bpf.o");
  ASSERT_FALSE(none.has_value());
  EXPECT_NE(none.error().text.find("no programs"), std::string::npos) << none.error().text;
  const auto missing = load_path(surface, "/nowhere/x.bpf.o");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().text, "load /nowhere/x.bpf.o: No such file or directory");
  EXPECT_EQ(missing.error().code, ENOENT);
}

TEST(Loader, ExpressionsBecomePrograms) {
  BpfSurface surface;
  for (const char* expression :
       {"", "tcp port 80 or tcp port 443", "ip proto 17", "arp", "greater 100", "vlan 5 and ip",
        "host 10.0.0.1", "ip6 and udp", "tcp[13] & 2 != 0", "not ether multicast",
        "ip[2:2] - ((ip[0]&0xf)<<2) > 8", "portrange 1-1023"}) {
    const auto loaded = load_filter(surface, "my-filter", expression);
    EXPECT_TRUE(loaded.has_value()) << expression << ": " << loaded.error().text;
  }
  const auto web = load_filter(surface, "web", "tcp port 80");
  ASSERT_TRUE(web.has_value());
  EXPECT_EQ(run(surface, *web, ipv4_frame(6, 80)), 262144u);
  EXPECT_EQ(run(surface, *web, ipv4_frame(6, 81)), 0u);
}

TEST(Loader, ABadExpressionKeepsLibpcapsWords) {
  BpfSurface surface;
  const auto loaded = load_filter(surface, "web", "tcp prt 80");
  ASSERT_FALSE(loaded.has_value());
  EXPECT_TRUE(loaded.error().text.starts_with("filter \"tcp prt 80\": ")) << loaded.error().text;
  EXPECT_NE(loaded.error().text.find("syntax error"), std::string::npos) << loaded.error().text;
}

TEST(Loader, AnExpressionThatCanNeverMatchIsAProgram) {
  BpfSurface surface;
  for (const char* expression :
       {"ether[-1] = 1", "ether[4294967295] = 1", "len > 5 and ether[-1] = 1"}) {
    const auto loaded = load_filter(surface, "never", expression);
    ASSERT_TRUE(loaded.has_value()) << expression << ": " << loaded.error().text;
    EXPECT_EQ(run(surface, *loaded, ipv4_frame(6, 80)), 0u) << expression;
  }
}

TEST(Loader, AnExpressionOnWhatOnlyAKernelKnowsSaysSo) {
  BpfSurface surface;
  for (const char* expression : {"inbound", "tcp and outbound", "ifindex 1"}) {
    const auto loaded = load_filter(surface, "live", expression);
    ASSERT_FALSE(loaded.has_value()) << expression;
    const std::string& text = loaded.error().text;
    EXPECT_NE(text.find("is not available: only a kernel knows it"), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

// Runs `body` in a child whose real bpf(2) calls end it; true if it came to its end.
bool survives_without_kernel_bpf(void (*body)()) {
  const pid_t child = ::fork();
  if (child == 0) {
    sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_bpf, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog filter{4, code};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
      ::_exit(2);
    }
    body();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(Loader, NoBpfCallReachesTheKernel) {
  EXPECT_TRUE(survives_without_kernel_bpf([] {
    BpfSurface surface;
    for (const std::string name : kShipped) {
      if (!load_path(surface, kObjects + "/" + name + ".bpf.o")) ::_exit(1);
    }
    if (!load_path(surface, kTestObjects + "/globals.bpf.o")) ::_exit(1);
    // libbpf called with no session must not reach it either.
    if (::bpf_map_create(BPF_MAP_TYPE_ARRAY, "x", 4, 4, 1, nullptr) != -ENOSYS) ::_exit(1);
  }));
  // The trap itself works: a call by hand is caught.
  EXPECT_FALSE(survives_without_kernel_bpf([] {
    long result = __NR_bpf;
    asm volatile("syscall" : "+a"(result) : "D"(0), "S"(0), "d"(0) : "rcx", "r11", "memory");
  }));
}

}  // namespace
}  // namespace sluice::bpf
