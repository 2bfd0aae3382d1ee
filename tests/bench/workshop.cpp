#include "tests/bench/workshop.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/bench/measure.hpp"

namespace sluice::bench {
namespace {

std::string contents(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

Workshop::Workshop() {
  std::string pattern = (std::filesystem::temp_directory_path() / "sluice-bench-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) give_up("no folder for compiled programs");
  folder_ = pattern;
}
Workshop::~Workshop() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Workshop::path(const std::string& ending) {
  return folder_ + "/" + std::to_string(files_++) + ending;
}

Status Workshop::run(const std::string& command) {
  const std::string log = folder_ + "/log";
  if (std::system((command + " > " + log + " 2>&1").c_str()) == 0) return {};
  return fail(EINVAL, command + ": " + contents(log));
}

Result<std::string> Workshop::bpf_object(const std::string& source, const std::string& flags) {
  // Named as the source is, since libbpf names the maps of global data by the file.
  const std::string object =
      path("") + "." + std::filesystem::path(source).stem().stem().string() + ".o";
  const std::string root = SLUICE_SOURCE_ROOT;
  auto done = run(
      "clang-19 -O2 -g -target bpf -mcpu=v3 -isystem /usr/include/x86_64-linux-gnu -I " + root +
      "/bpf/programs -Wno-pass-failed " + flags + " -c " + root + "/" + source + " -o " + object);
  if (!done) return fail(done.error());
  return object;
}

Result<void*> Workshop::native_code(const std::string& text, const std::string& language) {
  const std::string source = path(".src");
  const std::string library = path(".so");
  std::ofstream(source) << text;
  const std::string standard = language == "c++" ? " -std=c++20" : "";
  const std::string root = SLUICE_SOURCE_ROOT;
  auto done = run("clang-19 -x " + language + standard +
                  " -O3 -march=native -fno-strict-aliasing -fdeclspec -fPIC" +
                  " -shared -D_GNU_SOURCE -w -I " + root + " -I " + root + "/bpf/programs " +
                  source + " -o " + library);
  if (!done) return fail(done.error());
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return fail(EINVAL, dlerror());
  void* symbol = dlsym(handle, "burst");
  if (symbol == nullptr) return fail(EINVAL, dlerror());
  return symbol;
}

}  // namespace sluice::bench
