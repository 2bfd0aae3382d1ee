#include "control/families.hpp"

#include <algorithm>
#include <set>

namespace sluice::control {

namespace {

std::string hex(const bpf::Tag& tag) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : tag) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string map_type_name(uint32_t type) {
  switch (type) {
    case BPF_MAP_TYPE_HASH: return "hash";
    case BPF_MAP_TYPE_ARRAY: return "array";
    case BPF_MAP_TYPE_PERCPU_HASH: return "percpu_hash";
    case BPF_MAP_TYPE_PERCPU_ARRAY: return "percpu_array";
    default: return "type " + std::to_string(type);
  }
}

}  // namespace

prometheus::ClientMetric& Families::value_of(std::string_view name, std::string_view help,
                                             prometheus::MetricType type, Labels labels) {
  auto family = std::find_if(families_.begin(), families_.end(),
                             [&](const auto& each) { return each.name == name; });
  if (family == families_.end()) {
    families_.emplace_back();
    family = families_.end() - 1;
    family->name = name;
    family->help = help;
    family->type = type;
  }
  auto& metric = family->metric.emplace_back();
  for (auto& [key, value] : labels) {
    prometheus::ClientMetric::Label label;
    label.name = std::move(key);
    label.value = std::move(value);
    metric.label.push_back(std::move(label));
  }
  return metric;
}

void Families::counter(std::string_view name, std::string_view help, Labels labels, double value) {
  value_of(name, help, prometheus::MetricType::Counter, std::move(labels)).counter.value = value;
}

void Families::gauge(std::string_view name, std::string_view help, Labels labels, double value) {
  value_of(name, help, prometheus::MetricType::Gauge, std::move(labels)).gauge.value = value;
}

void add_build_info(Families& families) {
  families.gauge("sluice_build_info", "Version of the running sluice; always 1.",
                 {{"version", SLUICE_VERSION}}, 1);
}

void add_program_series(Families& families, const Programs& programs) {
  for (const auto& entry : programs.entries()) {
    const auto object = programs.surface().objects().program(entry.loaded.id);
    if (!object) continue;
    const std::string id = std::to_string(entry.loaded.id);
    families.gauge(
        "sluice_program_info", "A loaded program; always 1.",
        {{"id", id},
         {"name", entry.loaded.name},
         {"type", object->type == BPF_PROG_TYPE_SOCKET_FILTER ? "socket_filter"
                                                              : std::to_string(object->type)},
         {"tag", hex(object->tag)}},
        1);
    families.gauge("sluice_program_verified_instructions",
                   "Instructions the verifier walked through.", {{"id", id}},
                   static_cast<double>(object->verified_insns));
    families.gauge("sluice_program_load_seconds", "Time to read, relocate and verify the program.",
                   {{"id", id}}, entry.load_seconds);
  }
  families.counter("sluice_jit_seconds_total", "Time the JIT has spent compiling chains.", {},
                   programs.jit_seconds());
}

void add_map_series(Families& families, const Programs& programs) {
  std::set<uint32_t> seen;
  auto& objects = programs.surface().objects();
  for (auto object = objects.map_after(0); object; object = objects.map_after(object->id)) {
    if (!seen.insert(object->id).second) break;
    const bpf::MapSpec& spec = object->map->spec();
    const std::string id = std::to_string(object->id);
    families.gauge("sluice_map_info", "A map; always 1.",
                   {{"id", id}, {"name", spec.name}, {"type", map_type_name(spec.type)}}, 1);
    families.gauge("sluice_map_entries", "Elements in the map.", {{"id", id}},
                   static_cast<double>(object->map->entries()));
    families.gauge("sluice_map_capacity", "Elements the map can hold.", {{"id", id}},
                   spec.max_entries);
    families.gauge("sluice_map_memory_bytes", "Memory the map holds.", {{"id", id}},
                   static_cast<double>(object->map->memory_bytes()));
    families.gauge("sluice_map_broken",
                   "1: part of the map is not in its file: it was cut off, or found no room.",
                   {{"id", id}}, object->map->file_loss() == FileLoss::none ? 0 : 1);
    families.counter("sluice_map_full_errors_total", "Updates refused because the map was full.",
                     {{"id", id}}, static_cast<double>(object->map->full_errors()));
  }
}

}  // namespace sluice::control
