#include <ctime>

#include "cli/tool/pins.hpp"
#include "cli/tool/prog_line.hpp"
#include "cli/tool/program.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

// When it was loaded, in seconds of the wall clock.
time_t loaded_at(uint64_t load_time_ns) {
  timespec wall;
  timespec boot;
  ::clock_gettime(CLOCK_REALTIME, &wall);
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  const int64_t booted_ns =
      (wall.tv_sec - boot.tv_sec) * 1'000'000'000 + wall.tv_nsec - boot.tv_nsec;
  return (booted_ns + static_cast<int64_t>(load_time_ns)) / 1'000'000'000;
}

std::string time_text(time_t time) {
  tm parts;
  char text[64];
  ::localtime_r(&time, &parts);
  std::strftime(text, sizeof text, "%FT%T%z", &parts);
  return text;
}

void show_plain(const Program& program, const std::string& memlock, const Pins& pins) {
  const bpf_prog_info& info = program.info;
  print_prog_line(program);
  std::printf("\tloaded_at %s  uid %u\n", time_text(loaded_at(info.load_time)).c_str(),
              info.created_by_uid);
  std::printf("\txlated %uB", info.xlated_prog_len);
  if (info.jited_prog_len != 0) {
    std::printf("  jited %uB", info.jited_prog_len);
  } else {
    std::printf("  not jited");
  }
  if (!memlock.empty()) std::printf("  memlock %sB", memlock.c_str());
  const char* gap = "  map_ids ";
  for (const uint32_t id : program.map_ids) {
    std::printf("%s%u", gap, id);
    gap = ",";
  }
  print_pins(pins, Kind::prog, info.id);
  if (info.btf_id != 0) std::printf("\n\tbtf_id %u", info.btf_id);
  std::printf("\n");
}

void show_json(JsonWriter& out, const Program& program, const std::string& memlock,
               const Pins& pins) {
  const bpf_prog_info& info = program.info;
  out.begin_object();
  write_prog_head(out, program);
  out.member("loaded_at", static_cast<uint64_t>(loaded_at(info.load_time)));
  out.member("uid", info.created_by_uid);
  out.member("bytes_xlated", info.xlated_prog_len);
  out.member("jited", info.jited_prog_len != 0);
  if (info.jited_prog_len != 0) out.member("bytes_jited", info.jited_prog_len);
  if (!memlock.empty())
    out.member("bytes_memlock", uint64_t{std::strtoull(memlock.c_str(), nullptr, 10)});
  if (!program.map_ids.empty()) {
    out.key("map_ids");
    out.begin_array();
    for (const uint32_t id : program.map_ids) out.number(id);
    out.end_array();
  }
  if (info.btf_id != 0) out.member("btf_id", info.btf_id);
  write_pins(out, pins, Kind::prog, info.id);
  out.end_object();
}

Status show_one(Context& context, int fd, const Pins& pins) {
  const auto program = read_program(fd);
  if (!program) return fail(program.error());
  const std::string memlock = fdinfo_field(fd, "memlock");
  if (context.plain()) {
    show_plain(*program, memlock, pins);
  } else {
    show_json(context.json, *program, memlock, pins);
  }
  return {};
}

}  // namespace

void print_prog_line(const Program& program) {
  const bpf_prog_info& info = program.info;
  std::printf("%u: %s  ", info.id, prog_type_name(info.type).c_str());
  if (info.name[0] != 0) std::printf("name %s  ", info.name);
  std::printf("tag %s%s", tag_text(info.tag).c_str(), info.gpl_compatible != 0 ? "  gpl" : "");
  if (info.run_time_ns != 0) {
    std::printf(" run_time_ns %llu run_cnt %llu", static_cast<unsigned long long>(info.run_time_ns),
                static_cast<unsigned long long>(info.run_cnt));
  }
  std::printf("\n");
}

void write_prog_head(JsonWriter& out, const Program& program) {
  const bpf_prog_info& info = program.info;
  out.member("id", info.id);
  out.member("type", prog_type_name(info.type));
  if (info.name[0] != 0) out.member("name", info.name);
  out.member("tag", tag_text(info.tag));
  out.member("gpl_compatible", info.gpl_compatible != 0);
  if (info.run_time_ns != 0) {
    out.member("run_time_ns", uint64_t{info.run_time_ns});
    out.member("run_cnt", uint64_t{info.run_cnt});
  }
}

Status prog_show(Context& context, Words& words) {
  const Pins pins = wanted_pins(context);
  return show_objects(context, words, Kind::prog,
                      [&](int fd) { return show_one(context, fd, pins); });
}

}  // namespace sluice::cli
