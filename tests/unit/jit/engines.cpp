#include "tests/unit/jit/engines.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "bpf/interp/interp.hpp"
#include "bpf/jit/jit.hpp"
#include "tests/unit/jit/static_functions.hpp"

namespace sluice::bpf {

uint32_t Engine::run(const LinearPacket& packet) {
  void* packets[] = {const_cast<LinearPacket*>(&packet)};
  uint32_t verdict = 0;
  burst->run(packets, 1, &verdict, &env, &counters);
  return verdict;
}

std::shared_ptr<AnnotatedProgram> with_maps(const AnnotatedProgram& program, Maps maps) {
  auto copy = std::make_shared<AnnotatedProgram>(program);
  copy->maps = std::move(maps);
  return copy;
}

Engine interpreted(const AnnotatedProgram& program, Maps maps) {
  return {make_interpreted_burst({{with_maps(program, maps)}, kLinearLayout}), maps, {}, {}};
}

Engine compiled(const AnnotatedProgram& program, Maps maps) {
  auto burst = jit::make_burst({{with_maps(program, maps)}, kLinearLayout});
  if (!burst) {
    ADD_FAILURE() << burst.error().text;
    return {};
  }
  return {std::move(*burst), maps, {}, {}};
}

VerifierResult verify_insns(std::vector<Insn> insns, const Maps& maps, uint32_t type,
                            Hardening hardening) {
  VerifierInput input;
  input.name = "test";
  input.type = type;
  input.hardening = hardening;
  input.gpl_compatible = true;
  const StaticFunctions functions = static_functions_of(insns);
  input.btf = functions.btf;
  input.func_info = functions.func_info;
  input.insns = std::move(insns);
  input.maps = maps;
  return verify(input);
}

std::string contents(const Maps& maps) {
  std::string all;
  for (const auto& map : maps) {
    std::vector<std::string> elements;
    std::string key(map->spec().key_size, '\0');
    std::string value(map->user_value_size(), '\0');
    bool first = true;
    std::string next = key;
    while (map->next_key(first ? nullptr : key.data(), next.data()) == 0) {
      first = false;
      key = next;
      if (map->lookup(key.data(), value.data()) == 0) elements.push_back(key + value);
    }
    std::sort(elements.begin(), elements.end());
    for (const auto& element : elements) all += element;
    all += "|";
  }
  return all;
}

}  // namespace sluice::bpf
