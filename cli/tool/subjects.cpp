// The tables of subjects and verbs: the grammar's help is made of them, and completion and tests
// read it.
#include "cli/tool/pins.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
namespace {

#define SLUICE_MAP "  MAP := { id MAP_ID | pinned FILE | name MAP_NAME }\n"
#define SLUICE_PROG "  PROG := { id PROG_ID | pinned FILE | tag PROG_TAG | name PROG_NAME }\n"
#define SLUICE_TARGET                                                                              \
  "  TARGET := PROG [{ tcx_ingress | xdp }] dev PORT [{ before | after } PROG]\n  PORT := { NAME " \
  "| IFINDEX }\n"

constexpr const char* kMapNotes = SLUICE_MAP SLUICE_PROG
    "  DATA := { [hex] BYTES }\n"
    "  VALUE := { DATA | MAP | PROG }\n"
    "  UPDATE_FLAGS := { any | exist | noexist }\n"
    "  TYPE: `sluice feature list_builtins map_types` lists them\n";
constexpr const char* kProgNotes = SLUICE_PROG SLUICE_MAP SLUICE_TARGET
    "  TYPE := { socket | classifier | xdp | kprobe | tracepoint | ... }, a section name that "
    "libbpf knows\n"
    "  METRIC := { run_time_ns }\n";
constexpr const char* kLinkNotes =
    "  LINK := { id LINK_ID | pinned FILE }\n" SLUICE_TARGET SLUICE_PROG;
constexpr const char* kBtfNotes =
    "  BTF_SRC := { id BTF_ID | prog PROG | map MAP [{ key | value | kv | all }] | file FILE }\n"
    "  FORMAT := { raw | c }\n" SLUICE_MAP SLUICE_PROG;

}  // namespace

const std::vector<Subject>& subjects() {
  static const std::vector<Subject> kSubjects{
      {"map",
       "Maps of the daemon",
       {{"show", "[MAP]", map_show},
        {"list", "[MAP]", map_show},
        {"create",
         "FILE type TYPE key KEY_SIZE value VALUE_SIZE entries MAX_ENTRIES name NAME [flags FLAGS] "
         "[inner_map MAP]",
         map_create},
        {"dump", "MAP", map_dump},
        {"update", "MAP [key DATA] [value VALUE] [UPDATE_FLAGS]", map_update},
        {"lookup", "MAP { key DATA | value DATA }", map_lookup},
        {"getnext", "MAP [key DATA]", map_getnext},
        {"delete", "MAP key DATA", map_delete},
        {"pin", "MAP FILE", pin_verb<Kind::map>},
        {"event_pipe", "MAP [cpu N index M]", map_event_pipe},
        {"peek", "MAP", map_peek},
        {"push", "MAP value VALUE", map_update},
        {"pop", "MAP", map_pop},
        {"enqueue", "MAP value VALUE", map_update},
        {"dequeue", "MAP", map_pop},
        {"freeze", "MAP", map_freeze}},
       kMapNotes},
      {"prog",
       "Programs of the daemon",
       {{"show", "[PROG]", prog_show},
        {"list", "[PROG]", prog_show},
        {"dump",
         "{ xlated PROG [{ file FILE | [opcodes] [linum] | visual }] | "
         "jited PROG [{ file FILE | [opcodes] [linum] }] }",
         prog_dump},
        {"pin", "PROG FILE", pin_verb<Kind::prog>},
        {"load", "OBJ FILE [type TYPE] [map { idx IDX | name NAME } MAP] [pinmaps DIR]", prog_load},
        {"loadall", "OBJ DIR [type TYPE] [map { idx IDX | name NAME } MAP] [pinmaps DIR]",
         prog_loadall},
        {"attach", "TARGET", prog_attach},
        {"detach", "TARGET", prog_detach},
        {"run",
         "PROG data_in FILE [data_out FILE [data_size_out L]] [ctx_in FILE [ctx_out FILE "
         "[ctx_size_out M]]] [repeat N]",
         prog_run},
        {"profile", "PROG [duration SECONDS] [METRIC]", prog_profile},
        {"tracelog", "", prog_tracelog}},
       kProgNotes},
      {"link",
       "Programs attached to ports",
       {{"show", "[LINK]", link_show},
        {"list", "[LINK]", link_show},
        {"create", "TARGET FILE", link_create},
        {"pin", "LINK FILE", pin_verb<Kind::link>},
        {"detach", "LINK", link_detach}},
       kLinkNotes},
      {"btf",
       "Types of programs and maps",
       {{"show", "[id BTF_ID]", btf_show},
        {"list", "[id BTF_ID]", btf_show},
        {"dump", "BTF_SRC [format FORMAT]", btf_dump, "file"}},
       kBtfNotes},
      {"feature",
       "What the daemon can do",
       {{"probe", "[{ kernel | dev PORT }] [full] [unprivileged] [macros [prefix PREFIX]]",
         feature_probe},
        {"list_builtins", "{ prog_types | map_types | attach_types | link_types | helpers }",
         feature_list_builtins, ""}},
       ""},
      {"port", "Ports of the daemon", {{"show", "", port_show}, {"list", "", port_show}}, ""},
      {"chain",
       "Programs in the order they run, by port",
       {{"show", "", chain_show}, {"list", "", chain_show}},
       ""},
      {"metrics", "The Prometheus exposition", {{"show", "", metrics_show}}, ""},
      {"status",
       "One screen: the daemon, its ports, workers, programs, maps nearly full",
       {{"show", "", status_show}},
       ""},
      {"top",
       "Programs by cost and verdicts, live on a terminal, one frame into a pipe",
       {{"show", "[interval SECONDS] [sort KEY]", top_show}},
       "  KEY := { cpu | run | passed | dropped | name }\n"},
      {"version", "The version of this command", {{"show", "", version_show, ""}}, ""},
      {"batch",
       "Commands from a file, one a line",
       {{"file", "FILE", batch_file}},
       "  FILE := { PATH | - }\n"},
  };
  return kSubjects;
}

#undef SLUICE_MAP
#undef SLUICE_PROG
#undef SLUICE_TARGET

}  // namespace sluice::cli
