#include "cli/tool/objects.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <fstream>

#include "bpf/isa/opcode_new.hpp"

namespace sluice::cli {
namespace {

struct KindRow {
  const char* name;
  int (*next)(uint32_t, uint32_t*);
  int (*open)(uint32_t);
  std::string_view link_text;  // what /proc/self/fd shows, '-' for '_'
};

constexpr KindRow kKinds[] = {{"map", ::bpf_map_get_next_id, ::bpf_map_get_fd_by_id, "bpf-map"},
                              {"prog", ::bpf_prog_get_next_id, ::bpf_prog_get_fd_by_id, "bpf-prog"},
                              {"link", ::bpf_link_get_next_id, ::bpf_link_get_fd_by_id, "bpf-link"},
                              {"btf", ::bpf_btf_get_next_id, ::bpf_btf_get_fd_by_id, "btf"}};

const KindRow& row(Kind kind) { return kKinds[static_cast<size_t>(kind)]; }

Result<bool> fits(int fd, Kind kind, bool by_tag, const std::string& wanted) {
  if (kind == Kind::map) {
    const auto info = map_info(fd);
    if (!info) return fail(info.error());
    return wanted == info->name;
  }
  const auto info = prog_info(fd);
  if (!info) return fail(info.error());
  return wanted == (by_tag ? tag_text(info->tag) : std::string(info->name));
}

Result<std::vector<UniqueFd>> find_all(Kind kind, bool by_tag, const std::string& wanted) {
  if (!by_tag && wanted.size() >= BPF_OBJ_NAME_LEN)
    return usage("name \"" + wanted + "\" is longer than 15 characters");
  std::vector<UniqueFd> found;
  auto status = for_each_object(kind, [&](int fd) -> Status {
    const auto match = fits(fd, kind, by_tag, wanted);
    if (!match) return fail(match.error());
    if (*match) found.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    return {};
  });
  if (!status) return fail(status.error());
  if (found.empty()) {
    return fail(ENOENT,
                std::string("no ") + row(kind).name + (by_tag ? " of tag " : " named ") + wanted);
  }
  return found;
}

Result<std::vector<UniqueFd>> only(UniqueFd fd) {
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(fd));
  return fds;
}

Result<std::vector<UniqueFd>> open_pinned(Kind kind, const std::string& path) {
  UniqueFd fd(::bpf_obj_get(path.c_str()));
  if (!fd && errno == EACCES) {
    // A file that is no pin and a pin without permission have the same errno.
    std::string text = "pinned " + path + ": ";
    return fail(EACCES, text + (::access(path.c_str(), R_OK | W_OK) == 0 ? "it is no pin"
                                                                         : "Permission denied"));
  }
  if (!fd) return fail(errno_error(errno, "pinned " + path));
  if (!is_kind(fd.get(), kind))
    return fail(EINVAL, "pinned " + path + ": it is not a " + row(kind).name);
  return only(std::move(fd));
}

template <class Info>
Result<Info> info_of(int fd, const char* what) {
  Info info;
  std::memset(&info, 0, sizeof info);
  uint32_t size = sizeof info;
  if (::bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return fail(errno_error(errno, what));
  return info;
}

}  // namespace

const char* kind_name(Kind kind) { return row(kind).name; }

bool is_kind(int fd, Kind kind) {
  char target[PATH_MAX];
  const ssize_t length =
      ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target);
  if (length < 0) return false;
  std::string text(target, static_cast<size_t>(length));
  std::replace(text.begin(), text.end(), '_', '-');
  return text.find(row(kind).link_text) != std::string::npos;
}

bool next_names_object(const Words& words, Kind kind) {
  for (const char* how : {"id", "pinned", "name"}) {
    if (words.next_is(how)) return true;
  }
  return kind == Kind::prog && words.next_is("tag");
}

Result<std::vector<UniqueFd>> take_objects(Words& words, Kind kind) {
  const bool named = kind == Kind::map || kind == Kind::prog;
  if (words.accept("id")) {
    const auto id = words.take_number("id");
    if (!id) return fail(id.error());
    UniqueFd fd = open_by_id(kind, static_cast<uint32_t>(*id));
    if (!fd)
      return fail(errno_error(errno, std::string(row(kind).name) + " id " + std::to_string(*id)));
    return only(std::move(fd));
  }
  if (kind != Kind::btf && words.accept("pinned")) {
    const auto path = words.take("path of a pin");
    if (!path) return fail(path.error());
    return open_pinned(kind, *path);
  }
  const bool by_tag = kind == Kind::prog && words.next_is("tag");
  if (by_tag || (named && words.next_is("name"))) {
    (void)words.take("name");
    const auto wanted = words.take(by_tag ? "tag" : "name");
    if (!wanted) return fail(wanted.error());
    const bool is_tag = wanted->size() == 2 * BPF_TAG_SIZE &&
                        wanted->find_first_not_of("0123456789abcdef") == wanted->npos;
    if (by_tag && !is_tag) return usage("tag \"" + *wanted + "\" is not 16 hexadecimal digits");
    return find_all(kind, by_tag, *wanted);
  }
  const std::string how = kind == Kind::btf    ? "id"
                          : kind == Kind::prog ? "id, tag, pinned or name"
                          : named              ? "id, pinned or name"
                                               : "id or pinned";
  if (words.empty()) return usage(std::string("which ") + row(kind).name + "? (" + how + ")");
  return usage("expected " + how + ", not \"" + std::string(words.peek()) + "\"");
}

Result<UniqueFd> take_object(Words& words, Kind kind) {
  auto fds = take_objects(words, kind);
  if (!fds) return fail(std::move(fds.error()));
  if (fds->size() > 1) {
    return fail(EINVAL,
                std::to_string(fds->size()) + " " + row(kind).name + "s fit; name one by its id");
  }
  return std::move(fds->front());
}

bool next_id(Kind kind, uint32_t* id, int* error) {
  *error = 0;
  if (row(kind).next(*id, id) == 0) return true;
  if (errno != ENOENT) *error = errno;
  return false;
}

UniqueFd open_by_id(Kind kind, uint32_t id) { return UniqueFd(row(kind).open(id)); }

Result<bpf_map_info> map_info(int fd) { return info_of<bpf_map_info>(fd, "map information"); }
Result<bpf_prog_info> prog_info(int fd) {
  return info_of<bpf_prog_info>(fd, "program information");
}

Status show_objects(Context& context, Words& words, Kind kind,
                    const std::function<Status(int)>& show) {
  const auto array = [&](bool wanted, const auto& fill) -> Status {
    if (wanted) context.json.begin_array();
    if (auto status = fill(); !status) return status;
    if (wanted) context.json.end_array();
    return {};
  };
  if (words.empty()) return array(!context.plain(), [&] { return for_each_object(kind, show); });
  const auto fds = take_objects(words, kind);
  if (!fds) return fail(fds.error());
  if (auto status = words.done(); !status) return status;
  return array(!context.plain() && fds->size() > 1, [&]() -> Status {
    for (const auto& fd : *fds) {
      if (auto status = show(fd.get()); !status) return status;
    }
    return {};
  });
}

std::string tag_text(const uint8_t* tag) {
  std::string text;
  char digits[4];
  for (size_t i = 0; i < BPF_TAG_SIZE; i++) {
    std::snprintf(digits, sizeof digits, "%02x", tag[i]);
    text += digits;
  }
  return text;
}

std::string fdinfo_field(int fd, std::string_view name) {
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(fd));
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':') {
      const size_t value = line.find_first_not_of(" \t", name.size() + 1);
      return value == std::string::npos ? "" : line.substr(value);
    }
  }
  return "";
}

std::string with_article(const std::string& noun) {
  const bool vowel =
      !noun.empty() && std::string_view("aeiou").find(noun[0]) != std::string_view::npos;
  return (vowel ? "an " : "a ") + noun;
}

std::string map_type_name(uint32_t type) {
  const char* name = ::libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type));
  return name != nullptr ? name : "type " + std::to_string(type);
}

std::string prog_type_name(uint32_t type) {
  const char* name = ::libbpf_bpf_prog_type_str(static_cast<bpf_prog_type>(type));
  return name != nullptr ? name : "type " + std::to_string(type);
}

std::string link_type_name(uint32_t type) {
  constexpr uint32_t kTcx = 11;  // BPF_LINK_TYPE_TCX, newer than Debian 12's header
  if (type == kTcx) return "tcx";
  const char* name = ::libbpf_bpf_link_type_str(static_cast<bpf_link_type>(type));
  return name != nullptr ? name : "type " + std::to_string(type);
}

std::string attach_type_name(uint32_t type) {
  if (type == bpf::kAttachTcxIngress) return "tcx_ingress";
  const char* name = ::libbpf_bpf_attach_type_str(static_cast<bpf_attach_type>(type));
  return name != nullptr ? name : "type " + std::to_string(type);
}

}  // namespace sluice::cli
