#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "bpf/loader/object_file.hpp"
#include "cli/tool/pins.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

// the verifier's: branches, every instruction, statistics
constexpr uint32_t kDebugLog = 1 | 2 | 4;

struct CloseObject {
  void operator()(bpf_object* object) const { ::bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, CloseObject>;

// "map name flows id 3": the object's map that another one stands in for.
struct Replacement {
  bool by_index = false;
  uint64_t index = 0;
  std::string name;
  UniqueFd map;
};

struct Request {
  std::string object;
  std::string path;
  std::string type;      // a section name; empty: what the sections say
  std::string pin_maps;  // directory
  std::vector<Replacement> replacements;
};

Result<Replacement> take_replacement(Words& words) {
  Replacement made;
  if (words.accept("idx")) {
    const auto index = words.take_number("idx");
    if (!index) return fail(index.error());
    made.by_index = true;
    made.index = *index;
  } else if (words.accept("name")) {
    auto name = words.take("name");
    if (!name) return fail(std::move(name.error()));
    made.name = std::move(*name);
  } else {
    return usage("map: expected idx or name");
  }
  auto map = take_object(words, Kind::map);
  if (!map) return fail(std::move(map.error()));
  made.map = std::move(*map);
  return made;
}

Result<Request> take_request(Words& words) {
  Request request;
  auto object = words.take("object file");
  if (!object) return fail(std::move(object.error()));
  request.object = std::move(*object);
  auto path = words.take("path of the pin");
  if (!path) return fail(std::move(path.error()));
  request.path = std::move(*path);
  while (!words.empty()) {
    const bool type = words.next_is("type");
    if (type || words.next_is("pinmaps")) {
      (void)words.take("keyword");
      auto value = words.take(type ? "type" : "pinmaps");
      if (!value) return fail(std::move(value.error()));
      (type ? request.type : request.pin_maps) = std::move(*value);
    } else if (words.accept("map")) {
      auto replacement = take_replacement(words);
      if (!replacement) return fail(std::move(replacement.error()));
      request.replacements.push_back(std::move(*replacement));
    } else {
      return fail(words.done().error());
    }
  }
  return request;
}

Status set_types(bpf_object* object, const std::string& type) {
  bpf_prog_type program_type = BPF_PROG_TYPE_UNSPEC;
  bpf_attach_type attach_type = {};
  if (!type.empty() && ::libbpf_prog_type_by_name(type.c_str(), &program_type, &attach_type) != 0 &&
      ::libbpf_prog_type_by_name((type + "/").c_str(), &program_type, &attach_type) != 0) {
    return usage("type \"" + type + "\" is not one that libbpf knows");
  }
  bpf_program* program = nullptr;
  while ((program = ::bpf_object__next_program(object, program)) != nullptr) {
    if (!type.empty()) {
      ::bpf_program__set_type(program, program_type);
      ::bpf_program__set_expected_attach_type(program, attach_type);
    } else if (::bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC) {
      return fail(EINVAL, std::string("program ") + ::bpf_program__name(program) +
                              ": its section \"" + ::bpf_program__section_name(program) +
                              "\" names no type; give one: type socket");
    }
  }
  return {};
}

Status replace_maps(bpf_object* object, const std::vector<Replacement>& replacements) {
  for (const auto& replacement : replacements) {
    bpf_map* map = replacement.by_index
                       ? nullptr
                       : ::bpf_object__find_map_by_name(object, replacement.name.c_str());
    if (replacement.by_index) {
      uint64_t index = 0;
      while ((map = ::bpf_object__next_map(object, map)) != nullptr && index < replacement.index)
        index++;
    }
    if (map == nullptr) {
      return fail(ENOENT,
                  "the object has no map " + (replacement.by_index
                                                  ? "of index " + std::to_string(replacement.index)
                                                  : replacement.name));
    }
    if (::bpf_map__reuse_fd(map, replacement.map.get()) != 0) {
      return fail(errno_error(errno, std::string("map ") + ::bpf_map__name(map) + ": reuse"));
    }
  }
  return {};
}

std::vector<std::string> program_names(bpf_object* object) {
  std::vector<std::string> names;
  bpf_program* program = nullptr;
  while ((program = ::bpf_object__next_program(object, program)) != nullptr)
    names.emplace_back(::bpf_program__name(program));
  return names;
}

// Pins of one object: all, or none is left. libbpf's own pinning changes every dot of a map's path
// to '_', the directory's too, and says little of what is wrong.
class NewPins {
 public:
  explicit NewPins(Context& context) : context_(context) {}
  NewPins(const NewPins&) = delete;
  NewPins& operator=(const NewPins&) = delete;
  ~NewPins() {
    for (auto path = made_.rbegin(); path != made_.rend(); ++path) (void)::remove(path->c_str());
  }
  void keep() { made_.clear(); }

  Status make_directory(const std::string& directory) {
    if (::mkdir(directory.c_str(), 0700) == 0) {
      made_.push_back(directory);
      return {};
    }
    struct stat status {};
    const int code = errno;
    if (code == EEXIST && ::stat(directory.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
      return {};
    return fail(errno_error(code == EEXIST ? ENOTDIR : code, "make " + directory));
  }
  Status pin(int fd, const std::string& path) {
    auto status = pin_object(context_.connection, fd, path);
    if (status) made_.push_back(path);
    return status;
  }

 private:
  Context& context_;
  std::vector<std::string> made_;
};

Status pin_programs(NewPins& pins, bpf_object* object, const std::string& path, bool all) {
  bpf_program* program = ::bpf_object__next_program(object, nullptr);
  if (!all) return pins.pin(::bpf_program__fd(program), path);
  if (auto status = pins.make_directory(path); !status) return status;
  for (; program != nullptr; program = ::bpf_object__next_program(object, program)) {
    if (auto status =
            pins.pin(::bpf_program__fd(program), path + "/" + ::bpf_program__name(program));
        !status) {
      return status;
    }
  }
  return {};
}

Status pin_maps(NewPins& pins, bpf_object* object, const std::string& directory) {
  if (auto status = pins.make_directory(directory); !status) return status;
  bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object, map)) != nullptr) {
    if (!::bpf_map__autocreate(map)) continue;
    std::string name = ::bpf_map__name(map);
    std::replace(name.begin(), name.end(), '.', '_');
    if (auto status = pins.pin(::bpf_map__fd(map), directory + "/" + name); !status) return status;
  }
  return {};
}

Status load_object(Context& context, const Request& request, bool all) {
  const auto file = bpf::read_object_file(request.object);
  if (!file) return fail(file.error());
  std::string name = request.object.substr(request.object.find_last_of('/') + 1);
  name = name.substr(0, name.find('.'));
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name.c_str());
  if (context.options.debug) options.kernel_log_level = kDebugLog;
  const Object object(::bpf_object__open_mem(file->data(), file->size(), &options));
  if (object == nullptr)
    return fail(errno, "not a valid BPF object: " + context.connection.load_failure({}));
  if (auto status = bpf::check_object_maps(object.get()); !status) return status;
  if (auto status = set_types(object.get(), request.type); !status) return status;
  if (auto status = replace_maps(object.get(), request.replacements); !status) return status;
  const auto names = program_names(object.get());
  if (names.empty()) return fail(ENOENT, "the object has no programs");
  if (const int code = -::bpf_object__load(object.get()); code != 0) {
    const std::string why = context.connection.load_failure(names);
    return fail(code, why.empty() ? errno_error(code, "load").text : why);
  }
  NewPins pins(context);
  if (auto status = pin_programs(pins, object.get(), request.path, all); !status) return status;
  if (!request.pin_maps.empty()) {
    if (auto status = pin_maps(pins, object.get(), request.pin_maps); !status) return status;
  }
  pins.keep();
  return {};
}

Status load(Context& context, Words& words, bool all) {
  const auto request = take_request(words);
  if (!request) return fail(request.error());
  auto status = load_object(context, *request, all);
  if (!status && status.error().code != kUsageCode)
    return fail(std::move(status.error()).in(request->object));
  return status;
}

}  // namespace

Status prog_load(Context& context, Words& words) { return load(context, words, false); }
Status prog_loadall(Context& context, Words& words) { return load(context, words, true); }

}  // namespace sluice::cli
