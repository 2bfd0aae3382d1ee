#include "config/parse.hpp"

#include <yaml-cpp/eventhandler.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/limits.hpp"
#include "config/reader.hpp"

namespace sluice::config {

namespace {

void read_document(Reader& reader, const YAML::Node& root, Config& config) {
  if (root.IsNull()) return;  // every section is optional
  reader.mapping(root, "configuration",
                 {{"eal", [&](const auto& node) { read_eal(reader, node, config.eal); }},
                  {"ports", [&](const auto& node) { read_ports(reader, node, config.ports); }},
                  {"programs",
                   [&](const auto& node) { read_programs(reader, node, config.programs); }},
                  {"attach", [&](const auto& node) { read_attach(reader, node, config.attach); }},
                  {"pins",
                   [&](const auto& node) {
                     read_access(reader, node, "pins", "directory", config.pins.emplace());
                   }},
                  {"api",
                   [&](const auto& node) {
                     read_access(reader, node, "api", "socket", config.api.emplace());
                     if (config.api->path.size() <= kMaxApiPath) return;
                     reader.error(position(node["socket"]), "api: socket: longer than " +
                                                                std::to_string(kMaxApiPath) +
                                                                " bytes");
                   }},
                  {"licence",
                   [&](const auto& node) {
                     reader.choice<Licence>(
                         node, "licence",
                         {{"kernel", Licence::kernel}, {"gpl_only", Licence::gpl_only}},
                         config.licence);
                   }},
                  {"jit", [&](const auto& node) { reader.boolean(node, "jit", config.jit); }},
                  {"jit_harden",
                   [&](const auto& node) {
                     reader.choice<JitHarden>(node, "jit_harden",
                                              {{"none", JitHarden::none},
                                               {"unprivileged", JitHarden::unprivileged},
                                               {"all", JitHarden::all}},
                                              config.jit_harden);
                   }},
                  {"metrics",
                   [&](const auto& node) { read_metrics(reader, node, config.metrics); }}});
}

// Listens for where a document begins. (YAML::LoadAll never ends on some texts, "," among them.)
class DocumentStart : public YAML::EventHandler {
 public:
  YAML::Mark at;
  void OnDocumentStart(const YAML::Mark& mark) override { at = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

void refuse_second_document(Reader& reader, const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStart start;
  if (!parser.HandleNextDocument(start) || !parser.HandleNextDocument(start)) return;
  const Position at{static_cast<uint32_t>(start.at.line) + 1,
                    static_cast<uint32_t>(start.at.column) + 1};
  reader.error(at, "a second document", "one `---` document a file");
}

// The one place where yaml-cpp's exceptions end.
void read_text(Reader& reader, const std::string& text, Config& config) {
  try {
    refuse_second_document(reader, text);
    read_document(reader, YAML::Load(text), config);
  } catch (const YAML::Exception& exception) {
    Position at;
    if (!exception.mark.is_null()) {
      at = {static_cast<uint32_t>(exception.mark.line) + 1,
            static_cast<uint32_t>(exception.mark.column) + 1};
    }
    reader.error(at, "not YAML: " + exception.msg);
  }
}

// A path in the pin directory needs one.
void check_pins(Reader& reader, const Config& config) {
  if (config.pins) return;
  const char* remedy = "pins: {directory: /run/sluice/bpf}";
  for (const auto& program : config.programs) {
    if (program.pin) {
      reader.error(program.pin->at,
                   "program " + program.name.value + ": pin without a `pins` section", remedy);
    }
  }
  for (const auto& metric : config.metrics.metrics) {
    if (!metric.program.empty() || metric.map.value.empty()) continue;
    reader.error(metric.map.at,
                 "metric " + metric.name.value + ": map by pin path without a `pins` section",
                 remedy);
  }
}

}  // namespace

Result<Config> parse_config_text(const std::string& text, const std::string& filename,
                                 const std::vector<std::string>& object_directories) {
  Config config;
  config.file = filename;
  Reader reader(config);
  read_text(reader, text, config);
  check_attach(reader, config);
  check_metrics(reader, config);
  check_pins(reader, config);
  resolve_objects(reader, config, object_directories);
  if (!reader.ok()) return fail(EINVAL, reader.errors());
  return config;
}

Result<Config> parse_config(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(errno_error(errno, "open configuration " + path));
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return fail(EISDIR, "open configuration " + path + ": it is a folder");
  }
  std::ostringstream text;
  text << file.rdbuf();
  return parse_config_text(text.str(), path);
}

}  // namespace sluice::config
