#include "bpf/surface/surface.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "bpf/surface/call.hpp"
#include "bpf/surface/possible_cpus.hpp"
#include "bpf/surface/restore.hpp"

namespace sluice::bpf {
namespace surface {
namespace {

// Bytes of the attribute a command knows, up to and with `field`; what lies behind must be zero.
#define ATTR_SIZE(field) (offsetof(union bpf_attr, field) + sizeof(bpf_attr{}.field))

struct Command {
  int number;
  size_t attr_size;
  Handler handler;
};

// One row a command, in order of number.
constexpr std::array kCommands = {
    Command{BPF_MAP_CREATE, kMapCreateEnd, map_create},
    Command{BPF_MAP_LOOKUP_ELEM, ATTR_SIZE(flags), map_lookup},
    Command{BPF_MAP_UPDATE_ELEM, ATTR_SIZE(flags), map_update},
    Command{BPF_MAP_DELETE_ELEM, ATTR_SIZE(key), map_delete},
    Command{BPF_MAP_GET_NEXT_KEY, ATTR_SIZE(next_key), map_next_key},
    Command{BPF_PROG_LOAD, kProgLoadEnd, prog_load},
    Command{BPF_OBJ_PIN, ATTR_SIZE(file_flags), obj_pin},
    Command{BPF_OBJ_GET, ATTR_SIZE(file_flags), obj_get},
    Command{BPF_PROG_ATTACH, kAttachEnd, prog_attach},
    Command{BPF_PROG_DETACH, kAttachEnd, prog_detach},
    Command{BPF_PROG_TEST_RUN, ATTR_SIZE(test.batch_size), prog_test_run},
    Command{BPF_PROG_GET_NEXT_ID, ATTR_SIZE(next_id), prog_next_id},
    Command{BPF_MAP_GET_NEXT_ID, ATTR_SIZE(next_id), map_next_id},
    Command{BPF_PROG_GET_FD_BY_ID, ATTR_SIZE(prog_id), prog_by_id},
    Command{BPF_MAP_GET_FD_BY_ID, ATTR_SIZE(open_flags), map_by_id},
    Command{BPF_OBJ_GET_INFO_BY_FD, ATTR_SIZE(info.info), info_by_fd},
    Command{BPF_PROG_QUERY, kQueryEnd, prog_query},
    Command{BPF_BTF_LOAD, kBtfLoadEnd, btf_load},
    Command{BPF_BTF_GET_FD_BY_ID, kBtfByIdEnd, btf_by_id},
    Command{BPF_TASK_FD_QUERY, ATTR_SIZE(task_fd_query.probe_addr), task_fd_query},
    Command{BPF_MAP_LOOKUP_AND_DELETE_ELEM, ATTR_SIZE(flags), map_lookup_and_delete},
    Command{BPF_MAP_FREEZE, ATTR_SIZE(map_fd), map_freeze},
    Command{BPF_BTF_GET_NEXT_ID, ATTR_SIZE(next_id), btf_next_id},
    Command{BPF_MAP_LOOKUP_BATCH, ATTR_SIZE(batch.flags), map_lookup_batch},
    Command{BPF_MAP_LOOKUP_AND_DELETE_BATCH, ATTR_SIZE(batch.flags), map_lookup_and_delete_batch},
    Command{BPF_MAP_UPDATE_BATCH, ATTR_SIZE(batch.flags), map_update_batch},
    Command{BPF_MAP_DELETE_BATCH, ATTR_SIZE(batch.flags), map_delete_batch},
    Command{BPF_LINK_CREATE, kLinkCreateEnd, link_create},
    Command{BPF_LINK_UPDATE, ATTR_SIZE(link_update.old_prog_fd), link_update},
    Command{BPF_LINK_GET_FD_BY_ID, ATTR_SIZE(link_id), link_by_id},
    Command{BPF_LINK_GET_NEXT_ID, ATTR_SIZE(next_id), link_next_id},
    Command{BPF_ENABLE_STATS, ATTR_SIZE(enable_stats.type), enable_stats},
    Command{BPF_LINK_DETACH, ATTR_SIZE(link_detach.link_fd), link_detach},
    Command{BPF_PROG_BIND_MAP, ATTR_SIZE(prog_bind_map.flags), prog_bind_map},
};
#undef ATTR_SIZE

constexpr unsigned kAttrMax = 4096;  // Linux: PAGE_SIZE

bool all_zero(const void* bytes, size_t from, size_t to) {
  const auto* at = static_cast<const uint8_t*>(bytes);
  return from >= to || std::all_of(at + from, at + to, [](uint8_t byte) { return byte == 0; });
}

constexpr uint64_t kPage = 4096;

}  // namespace

int Call::copy_in_string(uint64_t address, size_t limit, std::string* to) {
  to->clear();
  while (to->size() < limit) {
    // Never across a page's end, behind which there may be nothing.
    char part[128];
    const size_t room =
        std::min<size_t>({sizeof part, limit - to->size(), kPage - address % kPage});
    if (const int error = copy_in(address, part, room); error != 0) return error;
    const size_t length = ::strnlen(part, room);
    to->append(part, length);
    if (length < room) break;
    address += room;
  }
  return 0;
}

bool read_name(const char (&field)[BPF_OBJ_NAME_LEN], std::string* name) {
  const size_t length = ::strnlen(field, sizeof field);
  if (length == sizeof field) return false;
  const auto allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.'; };
  if (!std::all_of(field, field + length, allowed)) return false;
  name->assign(field, length);
  return true;
}

}  // namespace surface

BpfSurface::BpfSurface(SurfaceOptions options) : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->map_slots = surface::possible_cpus();
}

BpfSurface::~BpfSurface() { state_->objects.pins().leave(); }

Status BpfSurface::open_pins(const std::string& directory) {
  return surface::restore_pins(*state_, directory);
}

void BpfSurface::attach_pinned() { surface::attach_pinned(*state_); }

long BpfSurface::bpf(const Caller& caller, int cmd, union bpf_attr* attr, unsigned size) {
  if (size > surface::kAttrMax) return -E2BIG;
  if (attr == nullptr) return -EFAULT;
  if (!surface::all_zero(attr, kAttrSize, size)) return -E2BIG;
  const auto row =
      std::find_if(surface::kCommands.begin(), surface::kCommands.end(),
                   [cmd](const surface::Command& command) { return command.number == cmd; });
  if (row == surface::kCommands.end()) return -EINVAL;
  LocalProcess self;
  surface::Call call{*state_, caller, caller.process != nullptr ? *caller.process : self, attr,
                     size};
  std::memcpy(call.raw.data(), attr, std::min<size_t>(size, call.raw.size()));
  if (!surface::all_zero(call.raw.data(), row->attr_size, call.raw.size())) return -EINVAL;
  return row->handler(call);
}

void BpfSurface::close(int fd) {
  ::close(fd);
  state_->objects.sweep();
}

ObjectTable& BpfSurface::objects() { return state_->objects; }
Attachments& BpfSurface::attachments() { return state_->attachments; }
const SurfaceOptions& BpfSurface::options() const { return state_->options; }

}  // namespace sluice::bpf
