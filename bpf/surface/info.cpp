// OBJ_GET_INFO_BY_FD: what tools show of an object.
#include <algorithm>

#include "bpf/surface/call.hpp"
#include "bpf/surface/machine_code.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr uint32_t kInfoMax = 4096;
constexpr size_t kQuickBytes = 64u << 10;  // more is left to who has time

void copy_name(char (&field)[BPF_OBJ_NAME_LEN], const std::string& name) {
  std::memset(field, 0, sizeof field);
  std::memcpy(field, name.data(), std::min(name.size(), sizeof field - 1));
}

// An array of the caller's with room for `room` elements: as many as fit are copied.
template <class Element>
bool copy_array(Call& call, uint64_t user, uint32_t room, const std::vector<Element>& elements) {
  const size_t count = std::min<size_t>(room, elements.size());
  if (count * sizeof(Element) > kQuickBytes && call.caller.defer()) return false;
  return call.copy_out(user, elements.data(), count * sizeof(Element)) == 0;
}

int fill(Call& call, const BtfObject& btf, bpf_btf_info* info) {
  const bpf_btf_info wanted = *info;
  info->id = btf.id;
  info->kernel_btf = 0;
  info->btf_size = static_cast<uint32_t>(btf.blob.size());
  info->name_len = static_cast<uint32_t>(btf.name.size());
  if (!copy_array(call, wanted.btf, wanted.btf_size, btf.blob)) return -EFAULT;
  if ((wanted.name != 0) != (wanted.name_len != 0)) return -EINVAL;
  // Only modules of the kernel have names.
  return wanted.name != 0 && call.copy_out(wanted.name, "", 1) != 0 ? -EFAULT : 0;
}

int fill(Call&, const MapObject& map, bpf_map_info* info) {
  const MapSpec& spec = map.map->spec();
  *info = {};
  info->type = spec.type;
  info->id = map.id;
  info->key_size = spec.key_size;
  info->value_size = spec.value_size;
  info->max_entries = spec.max_entries;
  info->map_flags = spec.flags;
  copy_name(info->name, spec.name);
  info->btf_id = map.btf == nullptr ? 0 : map.btf->id;
  info->btf_key_type_id = spec.btf_key_type_id;
  info->btf_value_type_id = spec.btf_value_type_id;
  info->map_extra = spec.extra;
  return 0;
}

// Record sizes are ours, or 0 where nothing is asked for.
bool knows_record_sizes(const bpf_prog_info& wanted) {
  const auto good = [](uint32_t count, uint32_t size, size_t known) {
    return size == known || (count == 0 && size == 0);
  };
  return good(wanted.nr_func_info, wanted.func_info_rec_size, sizeof(bpf_func_info)) &&
         good(wanted.nr_line_info, wanted.line_info_rec_size, sizeof(bpf_line_info)) &&
         good(wanted.nr_jited_line_info, wanted.jited_line_info_rec_size, sizeof(uint64_t));
}

bool fill_debug_info(Call& call, const ProgramObject& program, const bpf_prog_info& wanted,
                     bpf_prog_info* info) {
  info->btf_id = program.btf == nullptr ? 0 : program.btf->id;
  info->func_info = wanted.func_info;
  info->line_info = wanted.line_info;
  info->jited_line_info = wanted.jited_line_info;
  info->nr_func_info = static_cast<uint32_t>(program.func_info.size());
  info->nr_line_info = static_cast<uint32_t>(program.line_info.size());
  return copy_array(call, wanted.func_info, wanted.nr_func_info, program.func_info) &&
         copy_array(call, wanted.line_info, wanted.nr_line_info, program.line_info);
}

// One function after inlining. Its place in the daemon's memory is nobody's business.
bool fill_machine_code(Call& call, ProgramObject& program, const bpf_prog_info& wanted,
                       bpf_prog_info* info) {
  const auto code = machine_code_of(call.options, call.caller, program);
  const std::string_view text = code == nullptr ? std::string_view() : code->machine_code();
  info->jited_prog_len = static_cast<uint32_t>(text.size());
  info->jited_prog_insns = wanted.jited_prog_insns;
  info->nr_jited_ksyms = info->nr_jited_func_lens = 1;
  info->jited_ksyms = wanted.jited_ksyms;
  info->jited_func_lens = wanted.jited_func_lens;
  return copy_array(call, wanted.jited_prog_insns, wanted.jited_prog_len,
                    std::vector<char>(text.begin(), text.end())) &&
         copy_array(call, wanted.jited_ksyms, wanted.nr_jited_ksyms, std::vector<uint64_t>{0}) &&
         copy_array(call, wanted.jited_func_lens, wanted.nr_jited_func_lens,
                    std::vector<uint32_t>{info->jited_prog_len});
}

int fill(Call& call, ProgramObject& program, bpf_prog_info* info) {
  const bpf_prog_info wanted = *info;
  *info = {};
  info->func_info_rec_size = sizeof(bpf_func_info);
  info->line_info_rec_size = sizeof(bpf_line_info);
  info->jited_line_info_rec_size = sizeof(uint64_t);
  if (!knows_record_sizes(wanted)) return -EINVAL;
  info->type = program.type;
  info->id = program.id;
  std::copy(program.tag.begin(), program.tag.end(), info->tag);
  copy_name(info->name, program.name);
  info->load_time = program.load_time_ns;
  info->created_by_uid = program.uid;
  info->gpl_compatible = program.gpl_compatible ? 1 : 0;
  info->verified_insns = static_cast<uint32_t>(program.verified_insns);
  const RunStatistics runs = call.state.attachments.statistics(program);
  info->run_cnt = runs.count;
  info->run_time_ns = runs.time_ns;
  std::vector<uint32_t> map_ids;
  for (const auto& map : program.used_maps()) map_ids.push_back(map->id);
  info->nr_map_ids = static_cast<uint32_t>(map_ids.size());
  info->map_ids = wanted.map_ids;
  info->xlated_prog_len = static_cast<uint32_t>(program.xlated.size() * sizeof(Insn));
  info->xlated_prog_insns = wanted.xlated_prog_insns;
  const std::vector<Tag> tags{program.tag};
  info->nr_prog_tags = 1;
  info->prog_tags = wanted.prog_tags;
  const bool copied = copy_array(call, wanted.map_ids, wanted.nr_map_ids, map_ids) &&
                      copy_array(call, wanted.prog_tags, wanted.nr_prog_tags, tags) &&
                      copy_array(call, wanted.xlated_prog_insns,
                                 wanted.xlated_prog_len / uint32_t{sizeof(Insn)}, program.xlated) &&
                      fill_debug_info(call, program, wanted, info) &&
                      fill_machine_code(call, program, wanted, info);
  return copied ? 0 : -EFAULT;
}

int fill(Call&, const LinkObject& link, bpf_link_info* info) {
  *info = {};
  info->type = link.attach_type == BPF_XDP ? uint32_t{BPF_LINK_TYPE_XDP} : kLinkTypeTcx;
  info->id = link.id;
  info->prog_id = link.attachment->program->id;
  const TcxLinkInfo where{link.attachment->ifindex, link.attach_type};
  std::memcpy(&info->xdp, &where,
              link.attach_type == BPF_XDP ? sizeof where.ifindex : sizeof where);
  return 0;
}

// The caller's structure may be shorter than ours or longer (then its tail must be zero): the
// common part is filled.
template <class Info, class Object>
long give(Call& call, Object& object) {
  const uint32_t user_length = call.attr.info.info_len;
  const uint64_t user = call.attr.info.info;
  if (user_length > kInfoMax) return -E2BIG;
  std::array<uint8_t, kInfoMax> given;
  if (const int error = call.copy_in(user, given.data(), user_length); error != 0) return error;
  for (uint32_t at = sizeof(Info); at < user_length; at++) {
    if (given[at] != 0) return -E2BIG;
  }
  Info info{};
  const uint32_t length = std::min<uint32_t>(user_length, sizeof info);
  std::memcpy(&info, given.data(), length);
  if (const int error = fill(call, object, &info); error != 0) return error;
  if (const int error = call.copy_out(user, &info, length); error != 0) return error;
  call.attr.info.info_len = length;
  call.write_back(call.attr.info.info_len);
  return 0;
}

}  // namespace

long info_by_fd(Call& call) {
  Handle handle;
  if (const int error = call.handle_of(call.attr.info.bpf_fd, &handle); error != 0) {
    return error == -EBADF ? -EBADFD : error;  // the one command with this errno
  }
  if (const auto* map = std::get_if<std::shared_ptr<MapObject>>(&handle.object)) {
    return give<bpf_map_info>(call, **map);
  }
  if (const auto* program = std::get_if<std::shared_ptr<ProgramObject>>(&handle.object)) {
    return give<bpf_prog_info>(call, **program);
  }
  if (const auto* btf = std::get_if<std::shared_ptr<BtfObject>>(&handle.object))
    return give<bpf_btf_info>(call, **btf);
  if (const auto* link = std::get_if<std::shared_ptr<LinkObject>>(&handle.object)) {
    return give<bpf_link_info>(call, **link);
  }
  return -EINVAL;
}

}  // namespace sluice::bpf::surface
