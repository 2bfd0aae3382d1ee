#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>

#include "cli/tool/pins.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

Result<uint32_t> take_map_type(Words& words) {
  const auto word = words.take("type");
  if (!word) return fail(word.error());
  for (uint32_t type = BPF_MAP_TYPE_HASH;
       ::libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type)) != nullptr; type++) {
    if (map_type_name(type) == *word) return type;
  }
  return usage("type \"" + *word +
               "\" is not known; `sluice feature list_builtins map_types` lists them");
}

struct Spec {
  std::string name;
  uint32_t type = 0;
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t entries = 0;
  uint32_t flags = 0;
  UniqueFd inner;
};

Status take_spec(Words& words, Spec* spec) {
  struct Number {
    const char* word;
    uint32_t* value;
  };
  const std::array<Number, 4> numbers{{{"key", &spec->key_size},
                                       {"value", &spec->value_size},
                                       {"entries", &spec->entries},
                                       {"flags", &spec->flags}}};
  while (!words.empty()) {
    const Number* number = nullptr;
    for (const auto& candidate : numbers) {
      if (words.next_is(candidate.word)) number = &candidate;
    }
    if (number != nullptr) {
      (void)words.take(number->word);
      const auto value = words.take_number(number->word);
      if (!value) return fail(value.error());
      *number->value = static_cast<uint32_t>(*value);
    } else if (words.accept("type")) {
      const auto type = take_map_type(words);
      if (!type) return fail(type.error());
      spec->type = *type;
    } else if (words.accept("name")) {
      auto name = words.take("name");
      if (!name) return fail(std::move(name.error()));
      spec->name = std::move(*name);
    } else if (words.accept("inner_map")) {
      auto inner = take_object(words, Kind::map);
      if (!inner) return fail(std::move(inner.error()));
      spec->inner = std::move(*inner);
    } else {
      return words.done();
    }
  }
  if (spec->type == BPF_MAP_TYPE_UNSPEC) return usage("type is missing");
  const bool holds_maps =
      spec->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || spec->type == BPF_MAP_TYPE_HASH_OF_MAPS;
  if (holds_maps && !spec->inner)
    return usage("inner_map is missing: a map of the shape of those it shall hold");
  if (spec->name.empty()) return usage("name is missing");
  if (spec->name.size() >= BPF_OBJ_NAME_LEN)
    return usage("name \"" + spec->name + "\" is longer than 15 characters");
  return {};
}

}  // namespace

Status map_create(Context& context, Words& words) {
  const auto path = words.take("path of the pin");
  if (!path) return fail(path.error());
  Spec spec;
  if (auto status = take_spec(words, &spec); !status) return status;
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = spec.flags);
  if (spec.inner) options.inner_map_fd = static_cast<uint32_t>(spec.inner.get());
  const UniqueFd fd(::bpf_map_create(static_cast<bpf_map_type>(spec.type), spec.name.c_str(),
                                     spec.key_size, spec.value_size, spec.entries, &options));
  if (!fd) {
    const int code = errno;
    Error error = errno_error(code, "create map " + spec.name);
    if (code == EINVAL) {
      error.text += ": " + with_article(map_type_name(spec.type)) + " cannot have key " +
                    std::to_string(spec.key_size) + ", value " + std::to_string(spec.value_size) +
                    ", entries " + std::to_string(spec.entries) +
                    " and these flags, or there is no such type (`sluice feature probe`)";
    }
    return fail(std::move(error));
  }
  return pin_object(context.connection, fd.get(), *path);
}

}  // namespace sluice::cli
