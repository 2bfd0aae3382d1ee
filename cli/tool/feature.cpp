#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstdio>

#include "bpf/isa/disasm.hpp"
#include "bpf/isa/insn.hpp"
#include "cli/tool/objects.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

using bpf::Insn;

// Numbers of an ABI enumeration that libbpf has names for, from `first` on.
template <class Enum>
std::vector<uint32_t> known(uint32_t first, const char* (*name)(Enum)) {
  std::vector<uint32_t> numbers;
  for (uint32_t number = first; name(static_cast<Enum>(number)) != nullptr; number++) numbers.push_back(number);
  return numbers;
}

std::vector<uint32_t> program_types() { return known(1, ::libbpf_bpf_prog_type_str); }

// One section of the answer: a heading, or a level of JSON.
void begin_section(Context& context, const char* name, const char* heading) {
  if (context.plain()) {
    std::printf("%s\n", heading);
  } else {
    context.json.key(name);
    context.json.begin_object();
  }
}

void end_section(Context& context) {
  if (context.plain()) {
    std::printf("\n");
  } else {
    context.json.end_object();
  }
}

void answer(Context& context, const std::string& member, const std::string& sentence, bool available) {
  if (context.plain()) {
    std::printf("%s is %savailable\n", sentence.c_str(), available ? "" : "NOT ");
  } else {
    context.json.member(member, available);
  }
}

std::vector<uint32_t> probe_program_types(Context& context) {
  std::vector<uint32_t> available;
  begin_section(context, "program_types", "Scanning eBPF program types...");
  for (const uint32_t type : program_types()) {
    const bool there = ::libbpf_probe_bpf_prog_type(static_cast<bpf_prog_type>(type), nullptr) == 1;
    if (there) available.push_back(type);
    const std::string name = prog_type_name(type);
    answer(context, "have_" + name + "_prog_type", "eBPF program_type " + name, there);
  }
  end_section(context);
  return available;
}

void probe_map_types(Context& context) {
  begin_section(context, "map_types", "Scanning eBPF map types...");
  for (const uint32_t type : known(1, ::libbpf_bpf_map_type_str)) {
    const std::string name = map_type_name(type);
    answer(context, "have_" + name + "_map_type", "eBPF map_type " + name,
           ::libbpf_probe_bpf_map_type(static_cast<bpf_map_type>(type), nullptr) == 1);
  }
  end_section(context);
}

// These leave a note in a kernel's log whenever they are loaded: only a full probe tries them.
bool noisy(uint32_t helper) {
  return helper == BPF_FUNC_trace_printk || helper == BPF_FUNC_trace_vprintk || helper == BPF_FUNC_probe_write_user;
}

void probe_helpers(Context& context, const std::vector<uint32_t>& available, bool full) {
  begin_section(context, "helpers", "Scanning eBPF helper functions...");
  for (const uint32_t type : program_types()) {
    const std::string name = prog_type_name(type);
    const bool supported = std::find(available.begin(), available.end(), type) != available.end();
    if (context.plain()) {
      std::printf("eBPF helpers supported for program type %s:\n", name.c_str());
      if (!supported) std::printf("\tProgram type not supported\n");
    } else {
      context.json.key(name + "_available_helpers");
      context.json.begin_array();
    }
    for (uint32_t helper = 1; supported && helper < __BPF_FUNC_MAX_ID; helper++) {
      if (noisy(helper) && !full) continue;
      if (::libbpf_probe_bpf_helper(static_cast<bpf_prog_type>(type), static_cast<bpf_func_id>(helper), nullptr) != 1)
        continue;
      const std::string text = std::string("bpf_") + bpf::helper_name(helper);
      if (context.plain()) {
        std::printf("\t- %s\n", text.c_str());
      } else {
        context.json.string(text);
      }
    }
    if (!context.plain()) context.json.end_array();
  }
  end_section(context);
}

bool loads(const std::vector<Insn>& insns) {
  const UniqueFd fd(::bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, nullptr, "GPL", insns.data(), insns.size(), nullptr));
  return static_cast<bool>(fd);
}

constexpr Insn make(int code, int dst, int src, int off, int imm) {
  return {static_cast<uint8_t>(code), static_cast<uint8_t>(dst & 15), static_cast<uint8_t>(src & 15),
          static_cast<int16_t>(off), imm};
}
constexpr Insn kSetR0 = make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
constexpr Insn kExit = make(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);

void probe_misc(Context& context) {
  begin_section(context, "misc", "Scanning miscellaneous eBPF features...");
  std::vector<Insn> large(4097, kSetR0);  // one more than kernels before 5.2 took
  large.push_back(kExit);
  answer(context, "have_large_insn_limit", "Large program size limit", loads(large));
  // for (r0 = 10; --r0 != 0;)
  answer(context, "have_bounded_loops", "Bounded loop support",
         loads({make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 10), make(BPF_ALU64 | BPF_SUB | BPF_K, 0, 0, 0, 1),
                make(BPF_JMP | BPF_JNE | BPF_K, 0, 0, -2, 0), kExit}));
  answer(context, "have_v2_isa_extension", "ISA extension v2",
         loads({kSetR0, make(BPF_JMP | BPF_JLT | BPF_K, 0, 0, 1, 0), kSetR0, kExit}));
  answer(context, "have_v3_isa_extension", "ISA extension v3",
         loads({kSetR0, make(BPF_JMP32 | BPF_JLT | BPF_K, 0, 0, 1, 0), kSetR0, kExit}));
  end_section(context);
}

}  // namespace

Status feature_probe(Context& context, Words& words) {
  (void)words.accept("kernel");  // bpftool's COMPONENT; there is one here
  const bool full = words.accept("full");
  if (auto status = words.done(); !status) return status;
  if (!context.plain()) context.json.begin_object();
  // A command that none knows: where bpf(2) is answered at all its error is not ENOSYS.
  uint32_t id = 0;
  begin_section(context, "syscall_config", "Scanning system call availability...");
  answer(context, "have_bpf_syscall", "bpf() syscall", ::bpf_prog_get_next_id(0, &id) == 0 || errno != ENOSYS);
  end_section(context);
  const auto available = probe_program_types(context);
  probe_map_types(context);
  probe_helpers(context, available, full);
  probe_misc(context);
  if (!context.plain()) context.json.end_object();
  return {};
}

Status feature_list_builtins(Context& context, Words& words) {
  std::vector<std::string> names;
  const auto add = [&](const std::vector<uint32_t>& numbers, std::string (*name)(uint32_t)) {
    for (const uint32_t number : numbers) names.push_back(name(number));
  };
  if (words.accept("prog_types")) {
    add(known(0, ::libbpf_bpf_prog_type_str), prog_type_name);
  } else if (words.accept("map_types")) {
    add(known(0, ::libbpf_bpf_map_type_str), map_type_name);
  } else if (words.accept("attach_types")) {
    add(known(0, ::libbpf_bpf_attach_type_str), attach_type_name);
  } else if (words.accept("link_types")) {
    add(known(0, ::libbpf_bpf_link_type_str), link_type_name);
  } else if (words.accept("helpers")) {
    for (uint32_t helper = 0; helper < __BPF_FUNC_MAX_ID; helper++)
      names.push_back(std::string("bpf_") + bpf::helper_name(helper));
  } else {
    return usage("expected prog_types, map_types, attach_types, link_types or helpers");
  }
  if (auto status = words.done(); !status) return status;
  if (!context.plain()) context.json.begin_array();
  for (const auto& name : names) {
    if (context.plain()) {
      std::printf("%s\n", name.c_str());
    } else {
      context.json.string(name);
    }
  }
  if (!context.plain()) context.json.end_array();
  return {};
}

}  // namespace sluice::cli
