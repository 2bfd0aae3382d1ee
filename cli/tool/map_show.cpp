#include <map>

#include "cli/tool/daemon_text.hpp"
#include "cli/tool/elements.hpp"
#include "cli/tool/pins.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

// What bpf(2) has no field for: the daemon tells, or the kernel in the descriptor's fdinfo.
struct Extras {
  std::string memlock;
  std::string frozen;
  std::string owner_type;
  std::string owner_jited;
};

std::string digit_of(const Json& truth) {
  return truth.text().empty() ? "" : truth.text() == "true" ? "1" : "0";
}

class AllExtras {
 public:
  explicit AllExtras(Connection& connection) {
    const auto text = connection.query("maps");
    const auto maps = text ? Json::parse(*text) : Result<Json>(fail(text.error()));
    if (!maps) return;
    for (const auto& map : maps->items()) {
      told_[static_cast<uint32_t>(map["id"].count())] = {
          map["memory_bytes"].text(), digit_of(map["frozen"]), map["owner_prog_type"].text(),
          digit_of(map["owner_jited"])};
    }
  }
  [[nodiscard]] Extras of(int fd, uint32_t id) const {
    if (const auto found = told_.find(id); found != told_.end()) return found->second;
    return {fdinfo_field(fd, "memlock"), fdinfo_field(fd, "frozen"),
            fdinfo_field(fd, "owner_prog_type"), fdinfo_field(fd, "owner_jited")};
  }

 private:
  std::map<uint32_t, Extras> told_;
};

uint32_t number(const std::string& text) {
  return static_cast<uint32_t>(std::strtoul(text.c_str(), nullptr, 10));
}

void show_json(JsonWriter& out, const bpf_map_info& info, const Extras& extras, const Pins& pins) {
  out.begin_object();
  out.member("id", info.id);
  out.member("type", map_type_name(info.type));
  if (info.name[0] != 0) out.member("name", info.name);
  out.member("flags", info.map_flags);
  out.member("bytes_key", info.key_size);
  out.member("bytes_value", info.value_size);
  out.member("max_entries", info.max_entries);
  if (!extras.memlock.empty())
    out.member("bytes_memlock", uint64_t{std::strtoull(extras.memlock.c_str(), nullptr, 10)});
  if (!extras.owner_type.empty())
    out.member("owner_prog_type", prog_type_name(number(extras.owner_type)));
  if (!extras.owner_jited.empty()) out.member("owner_jited", number(extras.owner_jited) != 0);
  out.member("frozen", number(extras.frozen));
  if (info.btf_id != 0) out.member("btf_id", info.btf_id);
  write_pins(out, pins, Kind::map, info.id);
  out.end_object();
}

void show_plain(const bpf_map_info& info, const Extras& extras, const Pins& pins) {
  std::printf("%u: %s  ", info.id, map_type_name(info.type).c_str());
  if (info.name[0] != 0) std::printf("name %s  ", info.name);
  std::printf("flags 0x%x\n\tkey %uB  value %uB  max_entries %u", info.map_flags, info.key_size,
              info.value_size, info.max_entries);
  if (!extras.memlock.empty()) std::printf("  memlock %sB", extras.memlock.c_str());
  if (!extras.owner_type.empty()) {
    std::printf("\n\towner_prog_type %s  owner %sjited",
                prog_type_name(number(extras.owner_type)).c_str(),
                number(extras.owner_jited) != 0 ? "" : "not ");
  }
  print_pins(pins, Kind::map, info.id);
  const bool frozen = number(extras.frozen) != 0;
  if (info.btf_id != 0 || frozen) std::printf("\n\t");
  if (info.btf_id != 0) std::printf("btf_id %u", info.btf_id);
  if (frozen) std::printf("%sfrozen", info.btf_id != 0 ? "  " : "");
  std::printf("\n");
}

Status show_one(Context& context, int fd, const AllExtras& extras, const Pins& pins) {
  const auto info = map_info(fd);
  if (!info) return fail(info.error());
  if (context.plain()) {
    show_plain(*info, extras.of(fd, info->id), pins);
  } else {
    show_json(context.json, *info, extras.of(fd, info->id), pins);
  }
  return {};
}

}  // namespace

Status map_show(Context& context, Words& words) {
  const Pins pins = wanted_pins(context);
  const AllExtras extras(context.connection);
  return show_objects(context, words, Kind::map,
                      [&](int fd) { return show_one(context, fd, extras, pins); });
}

Status map_dump(Context& context, Words& words) {
  auto fds = take_objects(words, Kind::map);
  if (!fds) return fail(fds.error());
  if (auto status = words.done(); !status) return status;
  const bool many = fds->size() > 1;
  std::vector<OpenMap> maps;
  for (auto& fd : *fds) {
    auto map = open_map(std::move(fd));
    if (!map) return fail(map.error());
    maps.push_back(std::move(*map));
  }
  if (many && !context.plain()) context.json.begin_array();
  const AllExtras extras(context.connection);
  for (const auto& map : maps) {
    ElementPrinter printer(context, map);
    if (many && !context.plain()) {
      context.json.begin_object();
      context.json.member("id", map.info.id);
      context.json.member("type", map_type_name(map.info.type));
      context.json.member("name", map.info.name);
      context.json.member("flags", map.info.map_flags);
      context.json.key("elements");
    } else if (many) {
      show_plain(map.info, extras.of(map.fd.get(), map.info.id), {});
    }
    if (!context.plain() || !map.keyless()) printer.begin();
    auto status = for_each_element(map, [&](const Element& element) {
      if (element.code == 0) {
        printer.print(element.key, element.value);
      } else {
        printer.print_failure(element.key, element.code);
      }
    });
    if (!status) return status;
    printer.end();
    if (many && !context.plain()) context.json.end_object();
  }
  if (many && !context.plain()) context.json.end_array();
  return {};
}

}  // namespace sluice::cli
