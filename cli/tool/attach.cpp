#include "cli/tool/attach.hpp"

#include <bpf/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "bpf/isa/opcode_new.hpp"
#include "cli/tool/objects.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

// linux/bpf.h of Linux 6.6 and later, where Debian 12's ends before.
constexpr uint32_t kBefore = 1u << 3;  // BPF_F_BEFORE
constexpr uint32_t kAfter = 1u << 4;   // BPF_F_AFTER

struct LinkCreateAttr {
  uint32_t prog_fd;
  uint32_t target_ifindex;
  uint32_t attach_type;
  uint32_t flags;
  uint32_t relative_fd;
  uint32_t pad;
  uint64_t expected_revision;
};
struct AttachAttr {
  uint32_t target_ifindex;
  uint32_t attach_fd;
  uint32_t attach_type;
  uint32_t flags;
  uint32_t replace_fd;
  uint32_t relative_fd;
  uint64_t expected_revision;
};

template <class Attr>
long bpf(int cmd, Attr* attr) {
  return ::syscall(__NR_bpf, cmd, attr, sizeof *attr);
}

Result<uint32_t> default_attach_type(int program) {
  const auto info = prog_info(program);
  if (!info) return fail(info.error());
  switch (info->type) {
    case BPF_PROG_TYPE_SOCKET_FILTER:
    case BPF_PROG_TYPE_SCHED_CLS: return bpf::kAttachTcxIngress;
    case BPF_PROG_TYPE_XDP: return uint32_t{BPF_XDP};
    default:
      return fail(EINVAL, "a program of type " + prog_type_name(info->type) + " is not for ports");
  }
}

Error attach_error(const char* what, const Target& target, int code) {
  Error error = errno_error(code, std::string(what) + " port " + target.port_name);
  if (code == EINVAL)
    error.text +=
        ": the program's type and " + attach_type_name(target.attach_type) + " may not fit";
  if (code == EEXIST) error.text += ": it is attached there";
  if (code == ENOENT) {
    const char* which = target.relative ? "one of the programs" : "the program";
    error.text += std::string(": ") + which + " is not attached there";
  }
  return error;
}

}  // namespace

Result<Target> take_target(Context& context, Words& words) {
  Target target;
  auto program = take_object(words, Kind::prog);
  if (!program) return fail(std::move(program.error()));
  target.program = std::move(*program);
  if (words.accept("tcx_ingress")) {
    target.attach_type = bpf::kAttachTcxIngress;
  } else if (words.accept("xdp")) {
    target.attach_type = BPF_XDP;
  } else {
    const auto type = default_attach_type(target.program.get());
    if (!type) return fail(type.error());
    target.attach_type = *type;
  }
  if (auto status = words.expect("dev"); !status) return fail(status.error());
  auto port = words.take("port");
  if (!port) return fail(std::move(port.error()));
  target.port_name = *port;
  const auto index = context.connection.port_index(*port);
  if (!index) return fail(index.error());
  target.port = *index;
  if (words.next_is("before") || words.next_is("after")) {
    target.flags = words.next_is("before") ? kBefore : kAfter;
    (void)words.take("before or after");
    auto relative = take_object(words, Kind::prog);
    if (!relative) return fail(std::move(relative.error()));
    target.relative = std::move(*relative);
  }
  return target;
}

Result<UniqueFd> create_link(const Target& target) {
  LinkCreateAttr attr = {};
  attr.prog_fd = static_cast<uint32_t>(target.program.get());
  attr.target_ifindex = target.port;
  attr.attach_type = target.attach_type;
  attr.flags = target.flags;
  if (target.relative) attr.relative_fd = static_cast<uint32_t>(target.relative.get());
  UniqueFd fd(static_cast<int>(bpf(BPF_LINK_CREATE, &attr)));
  if (!fd) return fail(attach_error("link to", target, errno));
  return fd;
}

namespace {

Status attach_or_detach(Context& context, Words& words, int cmd, const char* what) {
  const auto target = take_target(context, words);
  if (!target) return fail(target.error());
  if (auto status = words.done(); !status) return status;
  AttachAttr attr = {};
  attr.target_ifindex = target->port;
  attr.attach_fd = static_cast<uint32_t>(target->program.get());
  attr.attach_type = target->attach_type;
  attr.flags = target->flags;
  if (target->relative) attr.relative_fd = static_cast<uint32_t>(target->relative.get());
  if (bpf(cmd, &attr) != 0) return fail(attach_error(what, *target, errno));
  return {};
}

}  // namespace

Status prog_attach(Context& context, Words& words) {
  return attach_or_detach(context, words, BPF_PROG_ATTACH, "attach to");
}
Status prog_detach(Context& context, Words& words) {
  return attach_or_detach(context, words, BPF_PROG_DETACH, "detach from");
}

}  // namespace sluice::cli
