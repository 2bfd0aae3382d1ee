#include "config/parse.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sluice::config {
namespace {

std::string mistakes(const std::string& text) {
  const auto config = parse_config_text(text, "t.yaml", {});
  return config ? "" : config.error().text;
}

struct Mistake {
  const char* name;
  const char* yaml;
  const char* message;  // the whole of it
};

class EveryMistake : public testing::TestWithParam<Mistake> {};

TEST_P(EveryMistake, IsReportedWithItsPlaceAndAHint) {
  EXPECT_EQ(mistakes(GetParam().yaml), GetParam().message);
}

const Mistake kMistakes[] = {
    {"UnknownSection", "ports: []\nattatch: []\n",
     "t.yaml:2:1: configuration: unknown key \"attatch\" (did you mean \"attach\"?)"},
    {"UnknownKey", "ports:\n  - {name: a, devce: x, device: y}\n",
     "t.yaml:2:15: port: unknown key \"devce\" (did you mean \"device\"?)"},
    {"UnknownKeyFarFromAny", "eal: {zzz: 1}\n",
     "t.yaml:1:7: eal: unknown key \"zzz\" (known here: cores, memory_mb, hugepages, extra_args)"},
    {"BeginningOfAKey", "eal: {memory: 1}\n",
     "t.yaml:1:7: eal: unknown key \"memory\" (did you mean \"memory_mb\"?)"},
    {"RepeatedKey", "jit: on\njit: off\n",
     "t.yaml:2:1: configuration: \"jit\" is given twice (remove one of them)"},
    {"KeyWithoutValue", "licence:\n",
     "t.yaml:1:1: configuration: \"licence\" has no value (remove the key or give it a value)"},
    {"TextForNumber", "eal: {memory_mb: lots}\n",
     "t.yaml:1:18: eal: memory_mb: expected a whole number from 16 to 1048576, found \"lots\""},
    {"NegativeNumber", "eal: {memory_mb: -5}\n",
     "t.yaml:1:18: eal: memory_mb: expected a whole number from 16 to 1048576, found \"-5\""},
    {"HugeNumber", "eal: {memory_mb: 99999999999999999999999}\n",
     "t.yaml:1:18: eal: memory_mb: expected a whole number from 16 to 1048576, found "
     "\"99999999999999999999999\""},
    {"ListForMapping", "eal: [1]\n", "t.yaml:1:6: eal: expected a mapping, found a list"},
    {"MappingForList", "ports: {name: a}\n", "t.yaml:1:8: ports: expected a list, found a mapping"},
    {"ListForText", "ports: [{name: a, device: [x]}]\n",
     "t.yaml:1:27: port: device: expected a text, found a list"},
    {"NotABoolean", "jit: maybe\n", "t.yaml:1:6: jit: expected on or off, found \"maybe\""},
    {"NotAChoice", "licence: kernal\n",
     "t.yaml:1:10: licence: expected one of kernel, gpl_only, found \"kernal\" (did you mean "
     "\"kernel\"?)"},
    {"MissingKey", "ports: [{name: a}]\n", "t.yaml:1:9: port: \"device\" is missing"},
    {"BadName", "ports: [{name: a/b, device: x}]\n",
     "t.yaml:1:16: port: name: \"a/b\" is not a name (letters, digits, _ - . and at most 63 of "
     "them)"},
    {"PortNameTwice", "ports:\n  - {name: a, device: x}\n  - {name: a, device: y}\n",
     "t.yaml:3:12: port: name \"a\" is used twice (the first is in line 2)"},
    {"DeviceTwice", "ports:\n  - {name: a, device: x}\n  - {name: b, device: x}\n",
     "t.yaml:3:23: port: device \"x\" is used twice (the first is in line 2)"},
    {"CoreTwice", "eal: {cores: [1, 1]}\n", "t.yaml:1:18: eal: cores: 1 is given twice"},
    {"NoCores", "eal: {cores: []}\n",
     "t.yaml:1:14: eal: cores: the list is empty (leave it out for the first allowed CPU)"},
    {"ProgramNameTwice", "programs:\n  - {name: a, filter: ip}\n  - {name: a, filter: arp}\n",
     "t.yaml:3:12: program: name \"a\" is used twice (the first is in line 2)"},
    {"ProgramPinTwice",
     "pins: {directory: /p}\nprograms:\n  - {name: a, filter: ip, pin: /x/y}\n"
     "  - {name: b, filter: arp, pin: /x/./y}\n",
     "t.yaml:4:33: program: pin \"/x/./y\" is used twice (the first is in line 3)"},
    {"MissingObject", "programs: [{name: a, object: gone.bpf.o}]\n",
     "t.yaml:1:30: program a: object \"gone.bpf.o\" is missing (sought: gone.bpf.o)"},
    {"DirectoryForObject", "programs: [{name: a, object: /}]\n",
     "t.yaml:1:30: program a: object \"/\" is a directory (sought: /)"},
    {"ObjectAndFilter", "programs: [{name: a, object: /dev/null, filter: ip}]\n",
     "t.yaml:1:49: program: object and filter exclude each other (make two programs of them)"},
    {"NeitherObjectNorFilter", "programs: [{name: a}]\n",
     "t.yaml:1:12: program: neither object nor filter (object: FILE.bpf.o or filter: \"tcp port "
     "80\")"},
    {"FunctionOfAFilter", "programs: [{name: a, filter: ip, program: f}]\n",
     "t.yaml:1:43: program: program names a function of an object, but there is no object"},
    {"UnknownPort", "ports: [{name: lan, device: x}]\nattach: [{port: lna}]\n",
     "t.yaml:2:17: attach: port: no port \"lna\" (did you mean \"lan\"?)"},
    {"UnknownForwardPort",
     "ports: [{name: lan, device: x}]\nattach: [{port: lan, forward: internet}]\n",
     "t.yaml:2:31: attach: forward: no port \"internet\" (add it to ports)"},
    {"ForwardToItself", "ports: [{name: lan, device: x}]\nattach: [{port: lan, forward: lan}]\n",
     "t.yaml:2:31: attach: forward to the port itself (reflect: true sends packets back)"},
    {"ForwardAndDrop",
     "ports: [{name: a, device: x}, {name: b, device: y}]\n"
     "attach: [{port: a, forward: b, drop: true}]\n",
     "t.yaml:2:38: attach: forward, reflect and drop exclude each other (keep one)"},
    {"DropFalse", "ports: [{name: a, device: x}]\nattach: [{port: a, drop: false}]\n",
     "t.yaml:2:26: attach: drop: can only be true (leave it out)"},
    {"AttachedTwice", "ports: [{name: a, device: x}]\nattach:\n  - {port: a}\n  - {port: a}\n",
     "t.yaml:4:12: attach: port \"a\" is attached twice (list all its programs in the attach in "
     "line 3)"},
    {"UnknownProgram",
     "ports: [{name: a, device: x}]\nprograms: [{name: web, filter: ip}]\n"
     "attach: [{port: a, programs: [wbe]}]\n",
     "t.yaml:3:31: attach: no program \"wbe\" (did you mean \"web\"?)"},
    {"LongSocket",
     "api:\n  socket: /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
     "t.yaml:2:11: api: socket: longer than 99 bytes"},
    {"BadMode", "pins: {directory: /run/x, mode: \"9\"}\n",
     "t.yaml:1:33: pins: mode: \"9\" is not an octal file mode (as in mode: \"0700\")"},
    {"PinWithoutPins", "programs: [{name: a, filter: ip, pin: /x}]\n",
     "t.yaml:1:39: program a: pin without a `pins` section (pins: {directory: /run/sluice/bpf})"},
    {"MetricPinWithoutPins", "metrics: {counters: [{name: a, help: h, map: /flows}]}\n",
     "t.yaml:1:46: metric a: map by pin path without a `pins` section (pins: {directory: "
     "/run/sluice/bpf})"},
    {"BadPin", "programs: [{name: a, filter: ip, pin: x}]\npins: {directory: /p}\n",
     "t.yaml:1:39: program: pin: \"x\" is not a path in the pin directory (it begins with /)"},
    {"BadListen", "metrics: {listen: here}\n",
     "t.yaml:1:19: metrics: listen: \"here\" is not ADDRESS:PORT (as in 127.0.0.1:9435; port 0 "
     "takes a free one)"},
    {"ListenPortTooHigh", "metrics: {listen: \"127.0.0.1:70000\"}\n",
     "t.yaml:1:19: metrics: listen: \"127.0.0.1:70000\" is not ADDRESS:PORT (as in "
     "127.0.0.1:9435; port 0 takes a free one)"},
    {"MapWithoutProgram", "metrics: {counters: [{name: a_total, help: h, map: x}]}\n",
     "t.yaml:1:52: metric: map \"x\" does not name a map (PROGRAM/MAP, or a pin path from /)"},
    {"MapOfNoProgram", "metrics: {counters: [{name: a_total, help: h, map: x/y}]}\n",
     "t.yaml:1:52: metric: no program \"x\" (add it to programs)"},
    {"MapOfAFilter",
     "programs: [{name: x, filter: ip}]\nmetrics: {gauges: [{name: a, help: h, map: x/y}]}\n",
     "t.yaml:2:44: metric: program \"x\" is a filter and has no maps"},
    {"MetricName", "metrics: {counters: [{name: 9a, help: h, map: /p}]}\npins: {directory: /p}\n",
     "t.yaml:1:29: metric: \"9a\" is not a metric name (letters, digits, _ and :, no digit first)"},
    {"MetricNameOfOurs",
     "metrics: {counters: [{name: sluice_a, help: h, map: /p}]}\npins: {directory: /p}\n",
     "t.yaml:1:29: metric: names that begin with sluice_ are sluice's own"},
    {"MetricNameTwice",
     "metrics:\n  counters: [{name: a, help: h, map: /p}]\n"
     "  gauges: [{name: a, help: h, map: /p}]\npins: {directory: /p}\n",
     "t.yaml:3:19: metric: name \"a\" is used twice (the first is in line 2)"},
    {"UintOfThreeBytes",
     "metrics: {counters: [{name: a, help: h, map: /p, labels: [{name: l, size: 3, decoders: "
     "[{name: uint}]}]}]}\n"
     "pins: {directory: /p}\n",
     "t.yaml:1:59: label l: uint decodes 1, 2, 4 or 8 bytes, not 3"},
    {"AddressOfFiveBytes",
     "metrics: {counters: [{name: a, help: h, map: /p, labels: [{name: l, size: 5, decoders: "
     "[{name: inet_ip}]}]}]}\n"
     "pins: {directory: /p}\n",
     "t.yaml:1:59: label l: inet_ip decodes 4 or 16 bytes, not 5"},
    {"UnknownDecoder",
     "metrics: {counters: [{name: a, help: h, map: /p, labels: [{name: l, size: 4, decoders: "
     "[{name: uit}]}]}]}\n"
     "pins: {directory: /p}\n",
     "t.yaml:1:96: decoder: name: expected one of uint, hex, string, inet_ip, static_map, found "
     "\"uit\" (did you mean \"uint\"?)"},
    {"StaticMapFirst",
     "metrics: {counters: [{name: a, help: h, map: /p, labels: [{name: l, size: 4, decoders: "
     "[{name: static_map, "
     "static_map: {6: tcp}}]}]}]}\npins: {directory: /p}\n",
     "t.yaml:1:89: decoder: static_map cannot be the first, it maps text (decoders: [{name: uint}, "
     "{name: static_map, "
     "static_map: {6: tcp}}])"},
    {"LabelName",
     "metrics: {counters: [{name: a, help: h, map: /p, labels: [{name: __l, size: 4, decoders: "
     "[{name: hex}]}]}]}\n"
     "pins: {directory: /p}\n",
     "t.yaml:1:66: label: \"__l\" is not a label name (letters, digits and _, no digit first, no "
     "__ first)"},
    {"NotYaml", "ports: [1\njit: {", "t.yaml:2:4: not YAML: end of sequence flow not found"},
    {"TwoDocuments", "jit: on\n---\njit: off\n",
     "t.yaml:2:1: a second document (one `---` document a file)"},
    {"ACommaAlone", ",", "t.yaml:1:1: a second document (one `---` document a file)"},
    {"ScalarDocument", "hello\n", "t.yaml:1:1: configuration: expected a mapping, found \"hello\""},
};

INSTANTIATE_TEST_SUITE_P(Config, EveryMistake, testing::ValuesIn(kMistakes),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Config, AllMistakesAreReportedInOnePassInOrder) {
  EXPECT_EQ(mistakes("jit: 7\nlicence: []\neal: 3\n"),
            "t.yaml:1:6: jit: expected on or off, found \"7\"\n"
            "t.yaml:2:10: licence: expected a text, found a list\n"
            "t.yaml:3:6: eal: expected a mapping, found \"3\"");
}

TEST(Config, EverySectionIsOptional) {
  const auto config = parse_config_text("", "t.yaml");
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_TRUE(config->jit);
  EXPECT_EQ(config->licence, Licence::kernel);
  EXPECT_EQ(config->jit_harden, JitHarden::none);
  EXPECT_FALSE(config->metrics.listen);
}

TEST(Config, AFullConfigurationIsUnderstood) {
  const auto config = parse_config_text(R"(
eal:      {cores: [0, 1], memory_mb: 512, hugepages: never, extra_args: ["--log-level=8"]}
ports:
  - {name: wan, device: "0000:01:00.0", rx_queues: 2, idle_backoff: off}
  - {name: lan, device: "net_af_packet0,iface=veth0"}
programs:
  - {name: any, object: /dev/null, program: main, pin: /counters/any}
  - {name: web, filter: "tcp port 80 or tcp port 443"}
attach:
  - {port: wan, programs: [any, web], forward: lan}
  - {port: lan, reflect: true}
pins:     {directory: /run/sluice/bpf, mode: "0750", uid: root, gid: root}
licence:  gpl_only
jit:      off
jit_harden: unprivileged
api:      {socket: /run/sluice/sluice.sock, mode: "0660", uid: root, gid: root}
metrics:
  listen: 127.0.0.1:9435
  counters:
    - name: packets_total
      help: Packets.
      map: any/packets
      labels:
        - name: protocol
          size: 4
          padding: 4
          decoders: [{name: uint}, {name: static_map, static_map: {6: tcp}}]
)",
                                        "t.yaml", {});
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->eal.cores, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(config->eal.hugepages, Hugepages::never);
  EXPECT_EQ(config->ports[0].rx_queues, 2u);
  EXPECT_EQ(config->ports[0].idle_backoff, std::optional(false));
  EXPECT_EQ(config->ports[1].idle_backoff, std::nullopt);
  EXPECT_EQ(config->programs[0].path, "/dev/null");
  EXPECT_EQ(config->programs[0].function, "main");
  EXPECT_EQ(config->programs[1].filter->value, "tcp port 80 or tcp port 443");
  EXPECT_EQ(config->attach[0].action, Action::forward);
  EXPECT_EQ(config->attach[0].forward.value, "lan");
  EXPECT_EQ(config->attach[1].action, Action::reflect);
  EXPECT_EQ(config->pins->mode, 0750u);
  EXPECT_EQ(config->api->path, "/run/sluice/sluice.sock");
  EXPECT_EQ(config->licence, Licence::gpl_only);
  EXPECT_EQ(config->jit_harden, JitHarden::unprivileged);
  EXPECT_FALSE(config->jit);
  const Metric& metric = config->metrics.metrics.at(0);
  EXPECT_EQ(metric.program, "any");
  EXPECT_EQ(metric.map_name, "packets");
  EXPECT_EQ(metric.map.at.line, 22u);
  EXPECT_EQ(metric.labels[0].padding, 4u);
  EXPECT_EQ(metric.labels[0].decoders[1].static_map.at("6"), "tcp");
}

TEST(Config, ABareObjectNameIsSoughtInTheFileFolderThenInTheShippedOnes) {
  const std::filesystem::path root = testing::TempDir() + "sluice_config_objects";
  std::filesystem::create_directories(root / "own");
  std::filesystem::create_directories(root / "shipped");
  std::ofstream(root / "shipped/a.bpf.o") << "shipped";
  const std::string text = "programs: [{name: a, object: a.bpf.o}]\n";
  const std::vector<std::string> shipped{(root / "shipped").string()};
  auto config = parse_config_text(text, root / "own/t.yaml", shipped);
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->programs[0].path, (root / "shipped/a.bpf.o").string());
  std::ofstream(root / "own/a.bpf.o") << "own";
  config = parse_config_text(text, root / "own/t.yaml", shipped);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->programs[0].path, (root / "own/a.bpf.o").string());
  // A path with a folder is meant literally.
  EXPECT_FALSE(parse_config_text("programs: [{name: a, object: ./b/a.bpf.o}]\n",
                                 root / "own/t.yaml", shipped));
  std::filesystem::remove_all(root);
}

TEST(Config, AFileThatIsNotThereIsAnErrorThatNamesIt) {
  const auto config = parse_config("/no/such/file.yaml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, ENOENT);
  EXPECT_EQ(config.error().text,
            "open configuration /no/such/file.yaml: No such file or directory");
}

}  // namespace
}  // namespace sluice::config
