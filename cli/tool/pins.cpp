#include "cli/tool/pins.hpp"

#include <bpf/bpf.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace sluice::cli {

Pins find_pins(Connection& connection) {
  Pins pins;
  const std::string directory = connection.pin_directory();
  if (directory.empty()) return pins;
  std::error_code error;
  namespace fs = std::filesystem;
  for (auto at = fs::recursive_directory_iterator(
           directory, fs::directory_options::skip_permission_denied, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (at->path().filename().string().starts_with('.')) {
      at.disable_recursion_pending();
      continue;
    }
    std::error_code ignored;
    if (!at->is_regular_file(ignored) || at->is_symlink(ignored)) continue;
    const UniqueFd fd(::bpf_obj_get(at->path().c_str()));
    if (!fd) continue;
    for (const Kind kind : {Kind::map, Kind::prog, Kind::link}) {
      if (!is_kind(fd.get(), kind)) continue;
      // The id is the second field of each kind's information.
      uint32_t head[2] = {};
      union {
        bpf_map_info map;
        bpf_prog_info prog;
        bpf_link_info link;
      } info;
      std::memset(&info, 0, sizeof info);
      uint32_t size = kind == Kind::map    ? sizeof info.map
                      : kind == Kind::prog ? sizeof info.prog
                                           : sizeof info.link;
      if (::bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) continue;
      std::memcpy(head, &info, sizeof head);
      pins[{kind, head[1]}].push_back(at->path().string());
    }
  }
  for (auto& [object, paths] : pins) std::sort(paths.begin(), paths.end());
  return pins;
}

Pins wanted_pins(Context& context) {
  return context.options.show_pins ? find_pins(context.connection) : Pins{};
}

void print_pins(const Pins& pins, Kind kind, uint32_t id) {
  const auto found = pins.find({kind, id});
  if (found == pins.end()) return;
  for (const auto& path : found->second) std::printf("\n\tpinned %s", path.c_str());
}

void write_pins(JsonWriter& out, const Pins& pins, Kind kind, uint32_t id) {
  const auto found = pins.find({kind, id});
  if (found == pins.end()) return;
  out.key("pinned");
  out.begin_array();
  for (const auto& path : found->second) out.string(path);
  out.end_array();
}

namespace {

// Why a place is none for a pin; empty: it is one.
std::string wrong_place(const Connection& connection, const std::string& path) {
  const std::string directory = connection.pin_directory();
  if (directory.empty()) return "the daemon keeps no pins (pins: in its configuration)";
  std::error_code error;
  const auto place = std::filesystem::weakly_canonical(path, error).string();
  const auto root = std::filesystem::weakly_canonical(directory, error).string();
  if (!place.starts_with(root + "/")) return "pins lie below " + directory;
  return place.find('.', root.size()) != place.npos ? "the name of a pin has no '.'" : "";
}

}  // namespace

Status pin_object(const Connection& connection, int fd, const std::string& path) {
  if (::bpf_obj_pin(fd, path.c_str()) == 0) return {};
  const int code = errno;
  Error error = errno_error(code, "pin " + path);
  if (code == EPERM) {
    const std::string why = wrong_place(connection, path);
    if (!why.empty()) error.text += ": " + why;
    if (why.empty() && is_kind(fd, Kind::link))
      error.text += ": links of the configuration cannot be pinned";
  }
  if (code == ENOENT) error.text += ": make the directory with mkdir first";
  return fail(std::move(error));
}

Status pin_named(Context& context, Words& words, Kind kind) {
  const auto fd = take_object(words, kind);
  if (!fd) return fail(fd.error());
  const auto path = words.take("path of the pin");
  if (!path) return fail(path.error());
  if (auto status = words.done(); !status) return status;
  return pin_object(context.connection, fd->get(), *path);
}

}  // namespace sluice::cli
