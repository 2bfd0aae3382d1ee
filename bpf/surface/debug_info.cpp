#include "bpf/surface/debug_info.hpp"

#include <algorithm>
#include <set>

#include "bpf/progs/btf_types.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr uint32_t kInfoRecordMax = 252;  // Linux: MAX_FUNCINFO_REC_SIZE, MAX_LINEINFO_REC_SIZE

// Records of the caller's size cut down or filled up to ours. Bytes we do not know must be zero.
template <class Record>
Status read_records(Call& call, uint64_t user, uint32_t count, uint32_t record_size,
                    const char* what, std::vector<Record>* records) {
  if (count == 0) return {};
  const uint32_t insns = call.attr.insn_cnt;
  if (record_size < sizeof(Record) || record_size > kInfoRecordMax || record_size % 4 != 0 ||
      count > insns) {
    return fail(EINVAL, std::string("bad ") + what + " record size or count");
  }
  std::vector<char> bytes;
  if (call.copy_in(user, size_t{count} * record_size, &bytes) != 0) {
    return fail(EFAULT, std::string("bad address of ") + what);
  }
  records->resize(count);
  const char* from = bytes.data();
  for (uint32_t i = 0; i < count; i++, from += record_size) {
    Record& record = (*records)[i];
    std::memcpy(&record, from, sizeof(Record));
    if (std::any_of(from + sizeof(Record), from + record_size,
                    [](char byte) { return byte != 0; })) {
      return fail(E2BIG, std::string("unknown bytes in ") + what);
    }
    const bool ascends =
        i == 0 ? record.insn_off == 0 : record.insn_off > (*records)[i - 1].insn_off;
    if (!ascends || record.insn_off >= insns) {
      return fail(EINVAL, std::string(what) + " " + std::to_string(i) + ": bad instruction offset");
    }
  }
  return {};
}

// First instructions of the main program and of what calls and callbacks name.
std::set<uint32_t> subprogram_starts(const std::vector<Insn>& insns) {
  std::set<uint32_t> starts{0};
  for (size_t i = 0; i < insns.size(); i++) {
    const Insn& insn = insns[i];
    const bool call = insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_CALL;
    const bool callback = is_load_imm64(insn) && insn.src_reg == BPF_PSEUDO_FUNC;
    const int64_t target = static_cast<int64_t>(i) + insn.imm + 1;
    if ((call || callback) && target >= 0 && target < static_cast<int64_t>(insns.size())) {
      starts.insert(static_cast<uint32_t>(target));
    }
    if (is_load_imm64(insn)) i++;
  }
  return starts;
}

Status check_functions(const ProgSpec& spec, const BtfTypes& types,
                       const std::set<uint32_t>& starts) {
  if (spec.func_info.empty()) return {};
  if (spec.func_info.size() != starts.size()) {
    return fail(EINVAL, "number of funcs in func_info doesn't match number of subprogs");
  }
  auto start = starts.begin();
  for (const auto& function : spec.func_info) {
    if (function.insn_off != *start++) {
      return fail(EINVAL, "func_info BTF section doesn't match subprog layout in BPF program");
    }
    if (!types.known(function.type_id) || types.kind(function.type_id) != BTF_KIND_FUNC) {
      return fail(EINVAL, "invalid type id " + std::to_string(function.type_id) + " in func info");
    }
  }
  return {};
}

Status check_lines(const ProgSpec& spec, const BtfTypes& types, const std::set<uint32_t>& starts) {
  if (spec.line_info.empty()) return {};
  std::set<uint32_t> missing = starts;
  for (const auto& line : spec.line_info) {
    const std::string where = "line_info at instruction " + std::to_string(line.insn_off);
    if (!types.has_string(line.line_off) || !types.has_string(line.file_name_off)) {
      return fail(EINVAL, where + ": bad string");
    }
    if (spec.insns[line.insn_off].code == 0) return fail(EINVAL, where + ": Invalid insn code");
    missing.erase(line.insn_off);
  }
  return missing.empty() ? Status{} : fail(EINVAL, "missing bpf_line_info for a subprogram");
}

}  // namespace

Status read_debug_info(Call& call, ProgSpec* spec) {
  const auto& attr = call.attr;
  if (attr.func_info_cnt == 0 && attr.line_info_cnt == 0) return {};
  if (attr.core_relo_cnt != 0)
    return fail(EOPNOTSUPP, "relocations are the loader's: core_relo_cnt is not 0");
  if (const int error = call.object_of(attr.prog_btf_fd, &spec->btf); error != 0) {
    return fail(-error, "prog_btf_fd is not a BTF descriptor");
  }
  auto read = read_records(call, attr.func_info, attr.func_info_cnt, attr.func_info_rec_size,
                           "func_info", &spec->func_info);
  if (!read) return read;
  return read_records(call, attr.line_info, attr.line_info_cnt, attr.line_info_rec_size,
                      "line_info", &spec->line_info);
}

Status check_debug_info(const ProgSpec& spec) {
  if (spec.btf == nullptr) return {};
  const BtfTypes types(spec.btf->blob);
  const auto starts = subprogram_starts(spec.insns);
  auto functions = check_functions(spec, types, starts);
  return functions ? check_lines(spec, types, starts) : functions;
}

}  // namespace sluice::bpf::surface
