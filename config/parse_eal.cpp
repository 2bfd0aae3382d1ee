#include <algorithm>

#include "base/limits.hpp"
#include "config/reader.hpp"

namespace sluice::config {

namespace {

constexpr uint32_t kHighestCore = 1023;
constexpr uint32_t kLowestMemoryMb = 16;
constexpr uint32_t kHighestMemoryMb = 1u << 20;

void read_cores(Reader& reader, const YAML::Node& node, std::vector<uint32_t>& cores) {
  reader.sequence(node, "eal: cores", [&](const YAML::Node& item) {
    uint32_t core = 0;
    if (!reader.number(item, "eal: cores", 0, kHighestCore, core)) return;
    if (std::find(cores.begin(), cores.end(), core) != cores.end()) {
      reader.error(position(item), "eal: cores: " + std::to_string(core) + " is given twice");
    }
    cores.push_back(core);
  });
  if (node.IsSequence() && node.size() == 0) {
    reader.error(position(node), "eal: cores: the list is empty",
                 "leave it out for the first allowed CPU");
  }
  if (cores.size() > kMaxWorkers) {
    reader.error(position(node), "eal: cores: more than " + std::to_string(kMaxWorkers));
  }
}

}  // namespace

void read_eal(Reader& reader, const YAML::Node& node, Eal& eal) {
  eal.at = position(node);
  reader.mapping(
      node, "eal",
      {{"cores", [&](const auto& value) { read_cores(reader, value, eal.cores); }},
       {"memory_mb",
        [&](const auto& value) {
          reader.number(value, "eal: memory_mb", kLowestMemoryMb, kHighestMemoryMb, eal.memory_mb);
        }},
       {"hugepages",
        [&](const auto& value) {
          reader.choice<Hugepages>(value, "eal: hugepages",
                                   {{"auto", Hugepages::automatic},
                                    {"always", Hugepages::always},
                                    {"never", Hugepages::never}},
                                   eal.hugepages);
        }},
       {"extra_args", [&](const auto& value) {
          reader.sequence(value, "eal: extra_args", [&](const YAML::Node& item) {
            std::string argument;
            if (reader.text(item, "eal: extra_args", argument))
              eal.extra_args.push_back(std::move(argument));
          });
        }}});
}

}  // namespace sluice::config
