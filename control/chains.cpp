#include "control/chains.hpp"

#include <unistd.h>

#include <algorithm>

#include "bpf/isa/opcode_new.hpp"
#include "dataplane/mbuf_layout.hpp"

namespace sluice::control {

namespace {

uint32_t port_index(const config::Config& config, const std::string& name) {
  return static_cast<uint32_t>(config.find_port(name) - config.ports.data());
}

dataplane::Action chain_action(const config::Config& config, const config::Attach& attach) {
  switch (attach.action) {
    case config::Action::none: return {dataplane::ActionKind::none, 0};
    case config::Action::reflect: return {dataplane::ActionKind::reflect, 0};
    case config::Action::drop: return {dataplane::ActionKind::drop, 0};
    case config::Action::forward:
      return {dataplane::ActionKind::forward, port_index(config, attach.forward.value)};
  }
  return {};
}

const config::Attach* find_attach(const config::Config& config, uint32_t ifindex) {
  const auto found =
      std::find_if(config.attach.begin(), config.attach.end(), [&](const config::Attach& attach) {
        return port_index(config, attach.port.value) + 1 == ifindex;
      });
  return found == config.attach.end() ? nullptr : &*found;
}

}  // namespace

Chains::Chains(const config::Config& config, Programs& programs, dataplane::Dataplane& dataplane)
    : config_(config), programs_(programs), dataplane_(dataplane) {
  programs_.surface().attachments().set_attacher(this);
}

Chains::~Chains() {
  programs_.surface().attachments().set_attacher(nullptr);
}

Status Chains::attach_configured() {
  bpf::BpfSurface& surface = programs_.surface();
  for (const auto& attach : config_.attach) {
    const uint32_t ifindex = port_index(config_, attach.port.value) + 1;
    bpf::Attachments::Items attachments;
    for (const auto& name : chain_names(attach)) {
      auto attachment = std::make_shared<bpf::Attachment>();
      attachment->ifindex = ifindex;
      attachment->of_configuration = true;
      attachment->program = surface.objects().program(programs_.find(name)->loaded.id);
      attachment->attach_type = bpf::goes_to(attachment->program->type, BPF_XDP)
                                    ? uint32_t{BPF_XDP}
                                    : bpf::kAttachTcxIngress;
      auto link = std::make_shared<bpf::LinkObject>();
      link->uid = ::geteuid();
      link->attach_type = attachment->attach_type;
      link->attachment = attachment;
      surface.objects().add(link);
      attachment->link_id = link->id;
      links_.push_back(std::move(link));
      attachments.push_back(std::move(attachment));
    }
    auto status = surface.attachments().add_configured(ifindex, attachments);
    if (!status) return fail(status.error().code, config_.message(attach.at, status.error().text));
  }
  return {};
}

bool Chains::has_port(uint32_t ifindex) const {
  return ifindex >= 1 && ifindex <= config_.ports.size();
}

uint32_t Chains::find_port(const std::string& name) const {
  return config_.find_port(name) == nullptr ? 0 : port_index(config_, name) + 1;
}

std::string Chains::port_name(uint32_t ifindex) const {
  return config_.ports[ifindex - 1].name.value;
}

// The configuration's name or the object's own; a second of the same name is told by its id.
std::string Chains::name_of(const bpf::ProgramObject& program,
                            const std::vector<Programs::Named>& before) const {
  std::string name = program.name.empty() ? "prog" : program.name;
  for (const auto& entry : programs_.entries()) {
    if (entry.loaded.id == program.id) name = entry.loaded.name;
  }
  const bool taken = std::any_of(before.begin(), before.end(),
                                 [&name](const auto& other) { return other.name == name; });
  return taken ? name + "#" + std::to_string(program.id) : name;
}

Status Chains::set_programs(uint32_t ifindex,
                            const std::vector<std::shared_ptr<bpf::ProgramObject>>& programs) {
  const config::Attach* attach = find_attach(config_, ifindex);
  const uint32_t port = ifindex - 1;
  std::vector<Programs::Named> named;
  std::map<uint32_t, std::string> names;
  for (const auto& program : programs) {
    named.push_back({name_of(*program, named), bpf::share_program(program)});
    names.emplace(program->id, named.back().name);
  }
  if (attach == nullptr && programs.empty()) {
    dataplane_.clear_chain(port);
  } else {
    auto chain = programs_.make_chain(std::move(named), dataplane::kPortLayout);
    if (!chain) return fail(std::move(chain.error()));
    if (attach != nullptr) chain->action = chain_action(config_, *attach);
    if (auto status = dataplane_.set_chain(port, std::move(*chain)); !status) return status;
  }
  const std::lock_guard guard(lock_);
  names_[ifindex] = std::move(names);
  return {};
}

bpf::RunStatistics Chains::statistics(uint32_t ifindex, const bpf::ProgramObject& program) const {
  std::string name;
  {
    const std::lock_guard guard(lock_);
    const auto port = names_.find(ifindex);
    if (port == names_.end() || !port->second.contains(program.id)) return {};
    name = port->second.at(program.id);
  }
  const dataplane::Snapshot snapshot = dataplane_.snapshot();
  for (const auto& chain : snapshot.chains) {
    if (chain.port + 1 != ifindex) continue;
    uint64_t all = 0;
    uint64_t own = 0;
    for (const auto& counted : chain.programs) {
      all += counted.counters.run;
      if (counted.name == name) own = counted.counters.run;
    }
    if (all == 0) return {};
    const double share = static_cast<double>(own) / static_cast<double>(all);
    return {own, static_cast<uint64_t>(chain.run_seconds * 1e9 * share)};
  }
  return {};
}

}  // namespace sluice::control
