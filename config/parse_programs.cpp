#include <filesystem>

#include "base/limits.hpp"
#include "config/parse.hpp"
#include "config/reader.hpp"

namespace sluice::config {

namespace {

namespace fs = std::filesystem;

Program read_program(Reader& reader, const YAML::Node& node) {
  Program program;
  Position function_at;
  reader.mapping(
      node, "program",
      {{"name", [&](const auto& value) { reader.name(value, "program: name", program.name); },
        true},
       {"object",
        [&](const auto& value) {
          if (reader.text(value, "program: object", program.object) &&
              program.object.value.empty()) {
            reader.error(program.object.at, "program: object: empty");
          }
        }},
       {"program",
        [&](const auto& value) {
          function_at = position(value);
          reader.text(value, "program: program", program.function);
        }},
       {"filter",
        [&](const auto& value) {
          Text filter;
          if (reader.text(value, "program: filter", filter)) program.filter = std::move(filter);
        }},
       {"pin", [&](const auto& value) {
          Text pin;
          if (!reader.text(value, "program: pin", pin)) return;
          if (pin.value.empty() || pin.value[0] != '/') {
            reader.error(pin.at,
                         "program: pin: \"" + pin.value + "\" is not a path in the pin directory",
                         "it begins with /");
          }
          program.pin = std::move(pin);
        }}});
  const bool object = program.object.at.line != 0;
  if (object && program.filter) {
    reader.error(program.filter->at, "program: object and filter exclude each other",
                 "make two programs of them");
  }
  if (node.IsMap() && !object && !program.filter) {
    reader.error(position(node), "program: neither object nor filter",
                 "object: FILE.bpf.o or filter: \"tcp port 80\"");
  }
  if (!object && function_at.line != 0) {
    reader.error(function_at,
                 "program: program names a function of an object, but there is no object");
  }
  return program;
}

void check_unique(Reader& reader, const Program& program, const Program& other) {
  const std::string first = "the first is in line ";
  if (!program.name.value.empty() && other.name.value == program.name.value) {
    reader.error(program.name.at, "program: name \"" + program.name.value + "\" is used twice",
                 first + std::to_string(other.name.at.line));
  }
  if (program.pin && other.pin &&
      fs::path(program.pin->value).lexically_normal() ==
          fs::path(other.pin->value).lexically_normal()) {
    reader.error(program.pin->at, "program: pin \"" + program.pin->value + "\" is used twice",
                 first + std::to_string(other.pin->at.line));
  }
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored) && !is_folder(path);
}

}  // namespace

std::vector<std::string> default_object_directories() {
  std::vector<std::string> directories;
  std::error_code code;
  const fs::path binary = fs::read_symlink("/proc/self/exe", code);
  if (!code) directories.push_back((binary.parent_path() / "bpf/programs").string());
  directories.emplace_back("/usr/lib/sluice/bpf");
  return directories;
}

void read_programs(Reader& reader, const YAML::Node& node, std::vector<Program>& programs) {
  reader.sequence(node, "programs", [&](const YAML::Node& item) {
    Program program = read_program(reader, item);
    for (const auto& other : programs) check_unique(reader, program, other);
    programs.push_back(std::move(program));
  });
  if (programs.size() > kMaxPrograms) {
    reader.error(position(node), "programs: more than " + std::to_string(kMaxPrograms));
  }
}

void resolve_objects(Reader& reader, Config& config, const std::vector<std::string>& directories) {
  const fs::path folder = fs::path(config.file).parent_path();
  for (auto& program : config.programs) {
    if (program.object.value.empty()) continue;
    const fs::path object = program.object.value;
    std::vector<fs::path> places{object.is_absolute() ? object : folder / object};
    if (!object.has_parent_path()) {
      for (const auto& directory : directories) places.push_back(fs::path(directory) / object);
    }
    std::string sought;
    const char* why = "\" is missing";
    for (const auto& place : places) {
      if (is_file(place)) {
        program.path = place.string();
        break;
      }
      if (is_folder(place)) why = "\" is a directory";
      sought += (sought.empty() ? "" : ", ") + place.string();
    }
    if (program.path.empty()) {
      reader.error(program.object.at,
                   "program " + program.name.value + ": object \"" + program.object.value + why,
                   "sought: " + sought);
    }
  }
}

}  // namespace sluice::config
