#include <bpf/libbpf.h>

#include <cstdio>

#include "cli/tool/verbs.hpp"

namespace sluice::cli {

Status version_show(Context& context, Words& words) {
  if (auto status = words.done(); !status) return status;
  const std::string libbpf =
      std::to_string(::libbpf_major_version()) + "." + std::to_string(::libbpf_minor_version());
  if (context.plain()) {
    std::printf("sluice v%s\nusing libbpf v%s\n", SLUICE_VERSION, libbpf.c_str());
    return {};
  }
  context.json.begin_object();
  context.json.member("version", SLUICE_VERSION);
  context.json.member("libbpf_version", libbpf);
  context.json.end_object();
  return {};
}

}  // namespace sluice::cli
