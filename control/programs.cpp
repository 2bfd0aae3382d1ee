#include "control/programs.hpp"

#include <algorithm>
#include <chrono>

#include "bpf/interp/interp.hpp"
#include "bpf/jit/jit.hpp"
#include "bpf/progs/chain_step.hpp"
#include "control/pins.hpp"

namespace sluice::control {

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Result<bpf::LoadedProgram> load_one(bpf::BpfSurface& surface, const config::Program& program) {
  if (program.filter) return bpf::load_filter(surface, program.name.value, program.filter->value);
  return bpf::load_object(surface, {program.name.value, program.path, program.function});
}

// By config::JitHarden.
constexpr bpf::JitHarden kJitHarden[] = {bpf::JitHarden::none, bpf::JitHarden::unprivileged,
                                         bpf::JitHarden::all};

bpf::SurfaceOptions surface_options(const config::Config& config, CompileServer* compiler,
                                    bpf::Grace* grace) {
  bpf::SurfaceOptions options;
  options.grace = grace;
  options.licence = config.licence == config::Licence::gpl_only ? bpf::LicencePolicy::gpl_only
                                                                : bpf::LicencePolicy::kernel;
  options.jit_harden = kJitHarden[static_cast<size_t>(config.jit_harden)];
  if (config.jit) {
    options.compile = [compiler](std::shared_ptr<const bpf::AnnotatedProgram> program) {
      return compiler != nullptr ? compiler->make_program(std::move(program))
                                 : bpf::jit::make_program(std::move(program));
    };
  }
  return options;
}

}  // namespace

Programs::Programs(bpf::SurfaceOptions options, bool jit, CompileServer* compiler)
    : surface_(std::make_unique<bpf::BpfSurface>(std::move(options))),
      jit_(jit),
      compiler_(compiler) {}

Result<std::unique_ptr<Programs>> Programs::load(const config::Config& config,
                                                 CompileServer* compiler, bpf::Grace* grace,
                                                 Pins pins) {
  std::unique_ptr<Programs> programs(
      new Programs(surface_options(config, compiler, grace), config.jit, compiler));
  if (pins == Pins::used) {
    if (Status opened = open_pins(config, *programs->surface_); !opened)
      return fail(std::move(opened.error()));
  }
  Error errors{0, ""};
  for (const auto& program : config.programs) {
    const auto start = std::chrono::steady_clock::now();
    auto loaded = pins == Pins::used && program.pin
                      ? load_pinned(config, *programs->surface_, program)
                      : load_one(*programs->surface_, program);
    if (!loaded) {
      const config::Position& at = program.filter ? program.filter->at : program.object.at;
      if (errors.code == 0) errors.code = loaded.error().code;
      errors.text += (errors.text.empty() ? "" : "\n") + config.message(at, loaded.error().text);
      continue;
    }
    programs->entries_.push_back({&program, std::move(*loaded), seconds_since(start)});
  }
  if (errors.code != 0) return fail(std::move(errors));
  return programs;
}

Status Programs::pin(const config::Config& config) {
  for (const auto& entry : entries_) {
    if (!entry.config->pin) continue;
    Status put = pin_program(config, *surface_, *entry.config, entry.loaded.id);
    if (!put) {
      return fail(put.error().code, config.message(entry.config->pin->at, put.error().text));
    }
  }
  return {};
}

Result<std::unique_ptr<Programs>> Programs::load_expression(const std::string& expression,
                                                            bool jit) {
  std::unique_ptr<Programs> programs(new Programs({}, jit, nullptr));
  const auto start = std::chrono::steady_clock::now();
  auto loaded = bpf::load_filter(*programs->surface_, "filter", expression);
  if (!loaded) return fail(std::move(loaded.error()));
  programs->entries_.push_back({nullptr, std::move(*loaded), seconds_since(start)});
  return programs;
}

const ProgramEntry* Programs::find(const std::string& name) const {
  for (const auto& entry : entries_) {
    if (entry.loaded.name == name) return &entry;
  }
  return nullptr;
}

Result<dataplane::Chain> Programs::make_chain(const std::vector<std::string>& names,
                                              const bpf::PacketLayout& layout) {
  std::vector<Named> programs;
  for (const auto& name : names) {
    const ProgramEntry* entry = find(name);
    if (entry == nullptr) return fail(ENOENT, "no program \"" + name + "\"");
    programs.push_back({name, entry->loaded.program});
  }
  return make_chain(std::move(programs), layout);
}

Result<dataplane::Chain> Programs::make_chain(std::vector<Named> programs,
                                              const bpf::PacketLayout& layout) {
  dataplane::Chain chain;
  bpf::ChainSpec spec;
  spec.layout = layout;
  std::ranges::stable_partition(
      programs, [](const Named& named) { return named.program->type == BPF_PROG_TYPE_XDP; });
  for (auto& program : programs) {
    chain.changes_packets |= bpf::forwards(program.program->type);
    chain.programs.push_back(std::move(program.name));
    spec.programs.push_back(std::move(program.program));
  }
  if (programs.empty()) return chain;
  if (!jit_) {
    chain.burst = bpf::make_interpreted_burst(std::move(spec));
    return chain;
  }
  const auto start = std::chrono::steady_clock::now();
  auto burst = compiler_ != nullptr ? compiler_->make_burst(std::move(spec))
                                    : bpf::jit::make_burst(std::move(spec));
  jit_seconds_ += seconds_since(start);
  if (!burst) return fail(std::move(burst.error()).in("compile"));
  chain.burst = std::move(*burst);
  return chain;
}

std::vector<std::string> chain_names(const config::Attach& attach) {
  std::vector<std::string> names;
  for (const auto& name : attach.programs) names.push_back(name.value);
  return names;
}

}  // namespace sluice::control
