#include "base/result.hpp"

#include <system_error>

namespace sluice {

Error errno_error(int code, std::string_view what) {
  return Error{code, std::string(what) + ": " + std::generic_category().message(code)};
}

}  // namespace sluice
