#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstring>

#include "bpf/isa/opcode_new.hpp"
#include "cli/tool/attach.hpp"
#include "cli/tool/pins.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

// A link's information as newer kernels have it: what Debian 12's header ends before.
struct LinkInfo {
  uint32_t type;
  uint32_t id;
  uint32_t prog_id;
  uint32_t pad;
  uint32_t ifindex;      // of an xdp and a tcx link
  uint32_t attach_type;  // of a tcx link
  uint8_t rest[48];
};
static_assert(offsetof(LinkInfo, ifindex) == offsetof(bpf_link_info, xdp.ifindex));

Result<LinkInfo> link_info(int fd) {
  LinkInfo info;
  std::memset(&info, 0, sizeof info);
  uint32_t size = sizeof info;
  if (::bpf_obj_get_info_by_fd(fd, &info, &size) != 0)
    return fail(errno_error(errno, "link information"));
  return info;
}

Status show_one(Context& context, int fd, const Pins& pins) {
  const auto info = link_info(fd);
  if (!info) return fail(info.error());
  const std::string type = link_type_name(info->type);
  const bool on_port = type == "tcx" || type == "xdp";
  const std::string port = on_port ? context.connection.port_name(info->ifindex) : "";
  if (context.plain()) {
    std::printf("%u: %s  prog %u  ", info->id, type.c_str(), info->prog_id);
    if (on_port)
      std::printf("\n\tifindex %s(%u)  ", port.empty() ? "gone" : port.c_str(), info->ifindex);
    if (type == "tcx") std::printf("attach_type %s  ", attach_type_name(info->attach_type).c_str());
    print_pins(pins, Kind::link, info->id);
    std::printf("\n");
    return {};
  }
  JsonWriter& out = context.json;
  out.begin_object();
  out.member("id", info->id);
  out.member("type", type);
  out.member("prog_id", info->prog_id);
  if (on_port) {
    if (!port.empty()) out.member("devname", port);
    out.member("ifindex", info->ifindex);
  }
  if (type == "tcx") out.member("attach_type", attach_type_name(info->attach_type));
  write_pins(out, pins, Kind::link, info->id);
  out.end_object();
  return {};
}

}  // namespace

Status link_show(Context& context, Words& words) {
  const Pins pins = wanted_pins(context);
  return show_objects(context, words, Kind::link,
                      [&](int fd) { return show_one(context, fd, pins); });
}

Status link_create(Context& context, Words& words) {
  auto target = take_target(context, words);
  if (!target) return fail(std::move(target.error()));
  const auto path = words.take("path of the pin");
  if (!path) return fail(path.error());
  if (auto status = words.done(); !status) return status;
  const auto fd = create_link(*target);
  if (!fd) return fail(fd.error());
  return pin_object(context.connection, fd->get(), *path);
}

Status link_detach(Context&, Words& words) {
  const auto fd = take_object(words, Kind::link);
  if (!fd) return fail(fd.error());
  if (auto status = words.done(); !status) return status;
  if (::bpf_link_detach(fd->get()) == 0) return {};
  const int code = errno;
  Error error = errno_error(code, "detach link");
  if (code == EPERM) error.text += ": links of the configuration stay";
  return fail(std::move(error));
}

}  // namespace sluice::cli
