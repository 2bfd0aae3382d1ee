#include <unistd.h>

#include <cctype>
#include <cstring>

#include "base/unique_fd.hpp"
#include "bpf/isa/classic.hpp"
#include "bpf/loader/expression.hpp"
#include "bpf/loader/loader.hpp"
#include "bpf/loader/refusal.hpp"

namespace sluice::bpf {
namespace {

constexpr const char* kLicence = "Dual BSD/GPL";

// The caller's name as far as an object's name may hold it.
void set_name(char (&field)[BPF_OBJ_NAME_LEN], const std::string& name) {
  for (size_t i = 0; i < name.size() && i + 1 < sizeof field; i++) {
    const auto c = static_cast<unsigned char>(name[i]);
    field[i] = std::isalnum(c) != 0 || c == '.' ? name[i] : '_';
  }
}

Result<LoadedProgram> load(BpfSurface& surface, const std::string& name,
                           const std::string& expression) {
  const auto compiled = compile_expression(expression);
  if (!compiled) return fail(compiled.error());
  std::vector<ClassicInsn> classic;
  for (const auto& insn : *compiled) classic.push_back({insn.code, insn.jt, insn.jf, insn.k});
  auto insns = convert_classic(classic);
  if (!insns) return fail(std::move(insns.error()).in("convert"));

  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = reinterpret_cast<uintptr_t>(insns->data());
  attr.insn_cnt = static_cast<uint32_t>(insns->size());
  attr.license = reinterpret_cast<uintptr_t>(kLicence);
  set_name(attr.prog_name, name);
  LoadFailure failure;
  const long fd =
      surface.bpf({::geteuid(), ::getegid(), &failure}, BPF_PROG_LOAD, &attr, sizeof attr);
  if (fd < 0) return fail(refusal(failure));
  const auto object = surface.objects().program_of(static_cast<int>(fd));
  LoadedProgram loaded;
  loaded.name = name;
  loaded.id = object->id;
  loaded.program = share_program(object);
  surface.close(static_cast<int>(fd));
  return loaded;
}

}  // namespace

Result<LoadedProgram> load_filter(BpfSurface& surface, const std::string& name,
                                  const std::string& expression) {
  auto loaded = load(surface, name, expression);
  if (!loaded) return fail(std::move(loaded.error()).in("filter \"" + expression + "\""));
  return loaded;
}

}  // namespace sluice::bpf
