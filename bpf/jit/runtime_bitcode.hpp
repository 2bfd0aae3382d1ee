// The embedded LLVM bitcode of runtime.cpp, generated at build time.
#pragma once

#include <string_view>

namespace sluice::bpf::jit {

[[nodiscard]] std::string_view runtime_bitcode();

}  // namespace sluice::bpf::jit
