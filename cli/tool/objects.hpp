// Maps, programs, links and BTF as the command line names them: by id, pinned path, name or tag.
// The session's thread.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "cli/tool/tool.hpp"

namespace sluice::cli {

enum class Kind { map, prog, link, btf };
[[nodiscard]] const char* kind_name(Kind kind);

// All `MAP`s the words name (a name or a tag may fit several), in order of id. errors: usage,
// ENOENT, EACCES.
Result<std::vector<UniqueFd>> take_objects(Words& words, Kind kind);
// The same for exactly one. EINVAL: several fit.
Result<UniqueFd> take_object(Words& words, Kind kind);
// Whether the next words name an object (id, pinned, name, and for programs tag).
[[nodiscard]] bool next_names_object(const Words& words, Kind kind);

// The first id after `id`; false: there is none, or *error is set.
bool next_id(Kind kind, uint32_t* id, int* error);
// Whether the descriptor is one of the kind.
[[nodiscard]] bool is_kind(int fd, Kind kind);
// Invalid descriptor with errno set where it is gone.
UniqueFd open_by_id(Kind kind, uint32_t id);

Result<bpf_map_info> map_info(int fd);
Result<bpf_prog_info> prog_info(int fd);

// Calls `show` with the descriptor of every object of the kind; those that go meanwhile are left
// out.
template <class Show>
Status for_each_object(Kind kind, Show&& show) {
  uint32_t id = 0;
  int error = 0;
  while (next_id(kind, &id, &error)) {
    const UniqueFd fd = open_by_id(kind, id);
    if (!fd && errno == ENOENT) continue;
    if (!fd)
      return fail(errno_error(errno, std::string(kind_name(kind)) + " " + std::to_string(id)));
    if (auto status = show(fd.get()); !status) return status;
  }
  if (error != 0) return fail(errno_error(error, std::string("list ") + kind_name(kind) + "s"));
  return {};
}

// What the verbs `show` have in common: calls `show` for the objects that the words name, or for
// all; several are an array of JSON.
Status show_objects(Context& context, Words& words, Kind kind,
                    const std::function<Status(int)>& show);

// Lower-case hexadecimal of a tag's 8 bytes.
[[nodiscard]] std::string tag_text(const uint8_t* tag);

// A field of /proc/self/fdinfo: what bpf(2) itself does not tell. Empty where there is none.
[[nodiscard]] std::string fdinfo_field(int fd, std::string_view name);

// "a hash", "an array".
[[nodiscard]] std::string with_article(const std::string& noun);

// Names of the ABI's numbers; "type 99" for a new one.
[[nodiscard]] std::string map_type_name(uint32_t type);
[[nodiscard]] std::string prog_type_name(uint32_t type);
[[nodiscard]] std::string link_type_name(uint32_t type);
[[nodiscard]] std::string attach_type_name(uint32_t type);

}  // namespace sluice::cli
