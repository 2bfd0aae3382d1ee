// Result and Error: how operating errors travel. An Error carries a positive errno and a sentence
// for a person; each layer on the way out puts what it was doing in front: `load acl.o: map flows:
// create: value_size 0`.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace sluice {

struct Error {
  int code = EINVAL;  // errno, positive
  std::string text;   // lower case, no full stop

  // Puts "what: " in front, for the caller that knows what was being done.
  [[nodiscard]] Error in(std::string_view what) && {
    text.insert(0, std::string(what) + ": ");
    return std::move(*this);
  }
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> fail(int code, std::string text) {
  return tl::unexpected<Error>(Error{code, std::move(text)});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}
// An errno from a system call, with its text: "open x.pcap: No such file or directory".
[[nodiscard]] Error errno_error(int code, std::string_view what);

}  // namespace sluice
