#include "bpf/object/licence.hpp"

#include <algorithm>
#include <array>

namespace sluice::bpf {

bool is_gpl_compatible(std::string_view licence) {
  static constexpr std::array<std::string_view, 6> kCompatible = {
      "GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};
  return std::find(kCompatible.begin(), kCompatible.end(), licence) != kCompatible.end();
}

}  // namespace sluice::bpf
