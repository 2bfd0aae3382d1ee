// Maps of maps and program arrays: what may go in, what comes out.
#include "tests/smoke/transcripts/transcript.hpp"

namespace transcript {
namespace {

long create_outer(Transcript& t, const std::string& what, uint32_t type, long inner,
                  uint32_t value_size = 4) {
  Attr attr;
  attr->map_type = type;
  attr->key_size = 4;
  attr->value_size = value_size;
  attr->max_entries = 4;
  attr->inner_map_fd = static_cast<uint32_t>(inner);
  return t.say(what, BPF_MAP_CREATE, attr);
}

uint32_t id_of(Transcript& t, long fd) {
  bpf_map_info info{};
  Attr attr;
  attr->info.bpf_fd = static_cast<uint32_t>(fd);
  attr->info.info_len = sizeof info;
  attr->info.info = address(&info);
  t.call(BPF_OBJ_GET_INFO_BY_FD, attr);
  return info.id;
}

// An id is the system's own affair: shown is whether it is the expected one.
void lookup_id(Transcript& t, const std::string& what, long fd, uint32_t key, uint32_t expected) {
  uint32_t value = 0;
  if (t.element(what, BPF_MAP_LOOKUP_ELEM, fd, &key, &value) == 0) {
    t.line(value == expected ? "  its id" : "  another id");
  }
}

void maps_of_maps(Transcript& t, const char* name, uint32_t type) {
  t.line(std::string("-- ") + name);
  const long inner = t.create({BPF_MAP_TYPE_ARRAY, 4, 8, 2});
  create_outer(t, "inner closed", type, 9999);
  create_outer(t, "inner no map", type, 1);
  create_outer(t, "inner with value_size 8", type, inner, 8);
  const long outer = create_outer(t, "inner an array", type, inner);
  create_outer(t, "inner a map of maps", type, outer);
  create_outer(t, "inner a prog_array", type, t.create({BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1}));
  create_outer(t, "inner a queue", type, t.create({BPF_MAP_TYPE_QUEUE, 0, 4, 1}));
  create_outer(t, "inner a ringbuf", type, t.create({BPF_MAP_TYPE_RINGBUF, 0, 0, 4096}));
  t.lookup("lookup of nothing", outer, 0);
  t.update("update with a closed descriptor", outer, 0, 9999);
  t.update("update with no map", outer, 0, 1);
  t.update("update with a hash", outer, 0,
           static_cast<uint32_t>(t.create({BPF_MAP_TYPE_HASH, 4, 8, 2})));
  t.update("update with another value_size", outer, 0,
           static_cast<uint32_t>(t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 2})));
  t.update("update with other max_entries", outer, 0,
           static_cast<uint32_t>(t.create({BPF_MAP_TYPE_ARRAY, 4, 8, 3})));
  t.update("update with other flags", outer, 0,
           static_cast<uint32_t>(t.create({BPF_MAP_TYPE_ARRAY, 4, 8, 2, BPF_F_MMAPABLE})));
  t.update("update NOEXIST", outer, 1, static_cast<uint32_t>(inner), BPF_NOEXIST);
  t.update("update EXIST", outer, 0, static_cast<uint32_t>(inner), BPF_EXIST);
  t.update("update", outer, 0, static_cast<uint32_t>(inner));
  lookup_id(t, "lookup", outer, 0, id_of(t, inner));
  const long second = t.create({BPF_MAP_TYPE_ARRAY, 4, 8, 2});
  t.update("update again", outer, 0, static_cast<uint32_t>(second));
  lookup_id(t, "lookup", outer, 0, id_of(t, second));
  t.update("update beyond", outer, 99, static_cast<uint32_t>(inner));
  t.update("update LOCK", outer, 0, static_cast<uint32_t>(inner), BPF_F_LOCK);
  t.keys("keys", outer);
  t.erase("delete 0", outer, 0);
  t.erase("delete 0 again", outer, 0);
  t.erase("delete 99", outer, 99);
  uint32_t key = 0;
  uint32_t value = 0;
  t.element("lookup and delete", BPF_MAP_LOOKUP_AND_DELETE_ELEM, outer, &key, &value);
  if (type != BPF_MAP_TYPE_ARRAY_OF_MAPS) return;
  const long loose = t.create({BPF_MAP_TYPE_ARRAY, 4, 8, 2, BPF_F_INNER_MAP});
  const long outer_loose = create_outer(t, "inner an array with INNER_MAP", type, loose);
  t.update("update with other max_entries", outer_loose, 0,
           static_cast<uint32_t>(t.create({BPF_MAP_TYPE_ARRAY, 4, 8, 3, BPF_F_INNER_MAP})));
}

void program_array(Transcript& t) {
  t.line("-- prog_array");
  const long fd = t.create({BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2});
  const long filter = t.load(BPF_PROG_TYPE_SOCKET_FILTER, {move(0, 1), leave()});
  const long classifier = t.load(BPF_PROG_TYPE_SCHED_CLS, {move(0, 0), leave()});
  t.lookup("lookup of nothing", fd, 0);
  t.update("update with a closed descriptor", fd, 0, 9999);
  t.update("update with no program", fd, 0, 1);
  t.update("update with a map", fd, 0, static_cast<uint32_t>(fd));
  t.update("update NOEXIST", fd, 0, static_cast<uint32_t>(filter), BPF_NOEXIST);
  t.update("update EXIST", fd, 0, static_cast<uint32_t>(filter), BPF_EXIST);
  t.update("update", fd, 0, static_cast<uint32_t>(filter));
  t.update("update with another type", fd, 1, static_cast<uint32_t>(classifier));
  t.update("update beyond", fd, 2, static_cast<uint32_t>(filter));
  uint32_t key = 0;
  uint32_t value = 0;
  t.element("lookup", BPF_MAP_LOOKUP_ELEM, fd, &key, &value);
  t.line(value != 0 ? "  an id" : "  nothing");
  t.element("lookup and delete", BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, &key, &value);
  t.keys("keys", fd);
  t.erase("delete 0", fd, 0);
  t.erase("delete 0 again", fd, 0);
  t.erase("delete 2", fd, 2);
  const long other = t.create({BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2});
  t.update("a classifier into a new one", other, 0, static_cast<uint32_t>(classifier));
  Attr attr = Transcript::program(BPF_PROG_TYPE_SOCKET_FILTER, {});
  const auto insns =
      load_map(2, BPF_PSEUDO_MAP_FD, static_cast<int>(other)) +
      std::vector<bpf_insn>{move(3, 0), insn(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call),
                            move(0, 0), leave()};
  attr = Transcript::program(BPF_PROG_TYPE_SOCKET_FILTER, insns);
  t.say("a socket filter that tail-calls through it", BPF_PROG_LOAD, attr);
}

}  // namespace

void map_references(Transcript& t) {
  maps_of_maps(t, "array_of_maps", BPF_MAP_TYPE_ARRAY_OF_MAPS);
  maps_of_maps(t, "hash_of_maps", BPF_MAP_TYPE_HASH_OF_MAPS);
  program_array(t);
}

}  // namespace transcript
