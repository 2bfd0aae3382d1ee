#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstdio>
#include <span>

#include "bpf/isa/disasm.hpp"
#include "bpf/isa/insn.hpp"
#include "cli/tool/feature_writer.hpp"
#include "cli/tool/objects.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

using bpf::Insn;

// Numbers of an ABI enumeration that libbpf has names for, from `first` on.
template <class Enum>
std::vector<uint32_t> known(uint32_t first, const char* (*name)(Enum)) {
  std::vector<uint32_t> numbers;
  for (uint32_t number = first; name(static_cast<Enum>(number)) != nullptr; number++)
    numbers.push_back(number);
  return numbers;
}

std::vector<uint32_t> program_types() { return known(1, ::libbpf_bpf_prog_type_str); }

// What is asked, and of whom.
struct Probe {
  FeatureWriter out;
  uint32_t device = 0;  // a device's ifindex: what can be offloaded to it; 0: bpf(2) itself
  bool full = false;
};

UniqueFd load(const Probe& probe, uint32_t type, std::span<const Insn> insns, char* log = nullptr,
              uint32_t log_size = 0) {
  LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_ifindex = probe.device);
  if (log != nullptr) {
    options.log_buf = log;
    options.log_size = log_size;
    options.log_level = 1;
  }
  return UniqueFd(::bpf_prog_load(static_cast<bpf_prog_type>(type), nullptr, "GPL", insns.data(),
                                  insns.size(), &options));
}

constexpr Insn make(int code, int dst, int src, int off, int imm) {
  return {static_cast<uint8_t>(code), static_cast<uint8_t>(dst & 15),
          static_cast<uint8_t>(src & 15), static_cast<int16_t>(off), imm};
}
constexpr Insn kSetR0 = make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
constexpr Insn kExit = make(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);

// Devices take two types of programs and two of maps.
bool for_devices(uint32_t type) {
  return type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_XDP;
}

bool has_program_type(const Probe& probe, uint32_t type) {
  if (probe.device == 0)
    return ::libbpf_probe_bpf_prog_type(static_cast<bpf_prog_type>(type), nullptr) == 1;
  const Insn insns[] = {kSetR0, kExit};
  return static_cast<bool>(load(probe, type, insns));
}

bool has_map_type(const Probe& probe, uint32_t type) {
  if (probe.device == 0)
    return ::libbpf_probe_bpf_map_type(static_cast<bpf_map_type>(type), nullptr) == 1;
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_ifindex = probe.device);
  return static_cast<bool>(
      UniqueFd(::bpf_map_create(static_cast<bpf_map_type>(type), nullptr, 4, 4, 1, &options)));
}

bool has_helper(const Probe& probe, uint32_t type, uint32_t helper) {
  if (probe.device == 0) {
    return ::libbpf_probe_bpf_helper(static_cast<bpf_prog_type>(type),
                                     static_cast<bpf_func_id>(helper), nullptr) == 1;
  }
  char log[4096] = "";
  const Insn insns[] = {make(BPF_JMP | BPF_CALL, 0, 0, 0, static_cast<int>(helper)), kExit};
  if (load(probe, type, insns, log, sizeof log)) return true;
  // A helper that is there is refused for its arguments alone.
  const std::string_view text(log);
  return !text.empty() && text.find("invalid func ") == text.npos &&
         text.find("unknown func ") == text.npos;
}

std::vector<uint32_t> probe_program_types(Probe& probe) {
  std::vector<uint32_t> available;
  probe.out.begin({"program_types", "Scanning eBPF program types...", "eBPF program types"});
  for (const uint32_t type : program_types()) {
    if (probe.device != 0 && !for_devices(type)) continue;
    const bool there = has_program_type(probe, type);
    if (there) available.push_back(type);
    const std::string name = prog_type_name(type);
    probe.out.answer("have_" + name + "_prog_type", "eBPF program_type " + name, there);
  }
  probe.out.end();
  return available;
}

void probe_map_types(Probe& probe) {
  probe.out.begin({"map_types", "Scanning eBPF map types...", "eBPF map types"});
  for (const uint32_t type : known(1, ::libbpf_bpf_map_type_str)) {
    if (probe.device != 0 && type != BPF_MAP_TYPE_HASH && type != BPF_MAP_TYPE_ARRAY) continue;
    const std::string name = map_type_name(type);
    probe.out.answer("have_" + name + "_map_type", "eBPF map_type " + name,
                     has_map_type(probe, type));
  }
  probe.out.end();
}

// These leave a note in a kernel's log whenever they are loaded: only a full probe tries them.
bool noisy(uint32_t helper) {
  return helper == BPF_FUNC_trace_printk || helper == BPF_FUNC_trace_vprintk ||
         helper == BPF_FUNC_probe_write_user;
}

void probe_helpers(Probe& probe, const std::vector<uint32_t>& available) {
  probe.out.begin({"helpers", "Scanning eBPF helper functions...", "eBPF helper functions"});
  probe.out.explain_helpers();
  for (const uint32_t type : program_types()) {
    if (probe.device != 0 && !for_devices(type)) continue;
    const std::string name = prog_type_name(type);
    const bool supported = std::find(available.begin(), available.end(), type) != available.end();
    probe.out.begin_helpers(name, supported);
    for (uint32_t helper = 1; helper < __BPF_FUNC_MAX_ID; helper++) {
      if (noisy(helper) && !probe.full) continue;
      probe.out.helper(name, std::string("bpf_") + bpf::helper_name(helper),
                       supported && has_helper(probe, type, helper));
    }
    probe.out.end_helpers();
  }
  probe.out.end();
}

void probe_misc(Probe& probe) {
  const auto loads = [&](const std::vector<Insn>& insns) {
    return static_cast<bool>(load(probe, BPF_PROG_TYPE_SOCKET_FILTER, insns));
  };
  probe.out.begin({"misc", "Scanning miscellaneous eBPF features...", "eBPF misc features"});
  std::vector<Insn> large(4097, kSetR0);  // one more than kernels before 5.2 took
  large.push_back(kExit);
  probe.out.answer("have_large_insn_limit", "Large program size limit", loads(large));
  // for (r0 = 10; --r0 != 0;)
  probe.out.answer("have_bounded_loops", "Bounded loop support",
                   loads({make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 10),
                          make(BPF_ALU64 | BPF_SUB | BPF_K, 0, 0, 0, 1),
                          make(BPF_JMP | BPF_JNE | BPF_K, 0, 0, -2, 0), kExit}));
  probe.out.answer("have_v2_isa_extension", "ISA extension v2",
                   loads({kSetR0, make(BPF_JMP | BPF_JLT | BPF_K, 0, 0, 1, 0), kSetR0, kExit}));
  probe.out.answer("have_v3_isa_extension", "ISA extension v3",
                   loads({kSetR0, make(BPF_JMP32 | BPF_JLT | BPF_K, 0, 0, 1, 0), kSetR0, kExit}));
  probe.out.end();
}

struct Request {
  uint32_t device = 0;
  bool full = false;
  bool unprivileged = false;
  bool macros = false;
  std::string prefix;
};

Result<Request> take_request(Context& context, Words& words) {
  Request request;
  if (words.accept("dev")) {
    const auto name = words.take("device");
    if (!name) return fail(name.error());
    const auto index = context.connection.port_index(*name);
    if (!index) return fail(index.error());
    request.device = *index;
  } else {
    (void)words.accept("kernel");  // what is probed without a word too
  }
  while (!words.empty()) {
    if (words.accept("full")) {
      request.full = true;
    } else if (words.accept("unprivileged")) {
      request.unprivileged = true;
    } else if (words.accept("macros")) {
      request.macros = true;
    } else if (request.macros && words.accept("prefix")) {
      auto prefix = words.take("prefix");
      if (!prefix) return fail(std::move(prefix.error()));
      request.prefix = std::move(*prefix);
    } else {
      return fail(words.done().error());
    }
  }
  return request;
}

}  // namespace

Status feature_probe(Context& context, Words& words) {
  const auto request = take_request(context, words);
  if (!request) return fail(request.error());
  if (request->unprivileged) {
    if (auto status = context.connection.drop_privileges(); !status) return status;
  }
  Probe probe{FeatureWriter(context, request->macros, request->prefix), request->device,
              request->full};
  if (!context.plain()) context.json.begin_object();
  // A command that none knows: where bpf(2) is answered at all its error is not ENOSYS.
  uint32_t id = 0;
  probe.out.begin(
      {"syscall_config", "Scanning system call availability...", "System call availability"});
  probe.out.answer("have_bpf_syscall", "bpf() syscall",
                   ::bpf_prog_get_next_id(0, &id) == 0 || errno != ENOSYS);
  probe.out.end();
  const auto available = probe_program_types(probe);
  probe_map_types(probe);
  probe_helpers(probe, available);
  probe_misc(probe);
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
