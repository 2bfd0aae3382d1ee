#include "control/access.hpp"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <charconv>

namespace sluice::control {
namespace {

bool read_number(const std::string& text, uint32_t* number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, *number);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

}  // namespace

Result<Owner> owner_of(const config::Config& config, const config::Access& access) {
  Owner owner{::geteuid(), ::getegid()};
  if (!access.uid.empty() && !read_number(access.uid, &owner.uid)) {
    const passwd* user = ::getpwnam(access.uid.c_str());
    if (user == nullptr)
      return fail(EINVAL, config.message(access.at, "uid: no user \"" + access.uid + "\""));
    owner.uid = user->pw_uid;
  }
  if (!access.gid.empty() && !read_number(access.gid, &owner.gid)) {
    const group* found = ::getgrnam(access.gid.c_str());
    if (found == nullptr)
      return fail(EINVAL, config.message(access.at, "gid: no group \"" + access.gid + "\""));
    owner.gid = found->gr_gid;
  }
  return owner;
}

}  // namespace sluice::control
