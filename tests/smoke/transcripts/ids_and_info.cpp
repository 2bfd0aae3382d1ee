// Ids, and what OBJ_GET_INFO_BY_FD shows of maps.
#include "tests/smoke/transcripts/transcript.hpp"

namespace transcript {
namespace {

bpf_map_info info_of(Transcript& t, const std::string& what, long fd) {
  bpf_map_info info{};
  Attr attr;
  attr->info.bpf_fd = static_cast<uint32_t>(fd);
  attr->info.info_len = sizeof info;
  attr->info.info = address(&info);
  t.say(what, BPF_OBJ_GET_INFO_BY_FD, attr);
  t.number("  info_len", attr->info.info_len);
  return info;
}

void show(Transcript& t, const bpf_map_info& info) {
  t.number("  type", info.type);
  t.number("  key_size", info.key_size);
  t.number("  value_size", info.value_size);
  t.number("  max_entries", info.max_entries);
  t.number("  map_flags", info.map_flags);
  t.line(std::string("  name \"") + info.name + "\"");
  t.number("  btf_id", info.btf_id);
  t.number("  ifindex", info.ifindex);
  t.number("  map_extra", info.map_extra);
}

void map_info(Transcript& t) {
  constexpr Shape kShapes[] = {
      {BPF_MAP_TYPE_HASH, 4, 8, 10},
      {BPF_MAP_TYPE_HASH, 4, 8, 10, BPF_F_NO_PREALLOC},
      {BPF_MAP_TYPE_HASH, 4, 8, 10, BPF_F_RDONLY},
      {BPF_MAP_TYPE_HASH, 4, 8, 10, BPF_F_WRONLY_PROG},
      {BPF_MAP_TYPE_ARRAY, 4, 5, 3, BPF_F_MMAPABLE},
      {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 5, 3},
      {BPF_MAP_TYPE_LRU_HASH, 4, 8, 10},
      {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 10, BPF_F_NO_PREALLOC},
      {BPF_MAP_TYPE_QUEUE, 0, 8, 10},
      {BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 10},
      {BPF_MAP_TYPE_RINGBUF, 0, 0, 8192},
      {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 10},
      {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2},
      {BPF_MAP_TYPE_DEVMAP, 4, 4, 2},
  };
  for (const auto& shape : kShapes) {
    const long fd = t.create(shape);
    show(t, info_of(t, "map of type " + std::to_string(shape.type), fd));
  }
}

void info_sizes(Transcript& t) {
  const long fd = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 1});
  uint8_t buffer[8192] = {};
  Attr attr;
  attr->info.bpf_fd = static_cast<uint32_t>(fd);
  attr->info.info = address(buffer);
  for (const uint32_t length : {0u, 4u, 8u, 40u, 4096u, 4097u}) {
    attr->info.info_len = length;
    t.say("info_len " + std::to_string(length), BPF_OBJ_GET_INFO_BY_FD, attr);
  }
  buffer[4095] = 1;
  attr->info.info_len = 4096;
  t.say("info_len 4096 with its last byte set", BPF_OBJ_GET_INFO_BY_FD, attr);
  attr->info.info = 4096;
  attr->info.info_len = 80;
  t.say("info at a bad address", BPF_OBJ_GET_INFO_BY_FD, attr);
  t.bytes("name and flags of the short info", buffer + 8, 4);
}

void ids(Transcript& t) {
  const long map = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 1});
  const long program = t.load(BPF_PROG_TYPE_SOCKET_FILTER, {move(0, 0), leave()});
  const bpf_map_info info = info_of(t, "a map's info", map);
  Attr attr;
  attr->map_id = info.id;
  const long again = t.say("map by id", BPF_MAP_GET_FD_BY_ID, attr);
  t.update("update through it", again, 0, 9);
  t.lookup("lookup through the first", map, 0);
  attr->open_flags = BPF_F_RDONLY;
  const long reader = t.say("map by id, read-only", BPF_MAP_GET_FD_BY_ID, attr);
  t.update("update through it", reader, 0, 10);
  attr->open_flags = BPF_F_RDONLY | BPF_F_WRONLY;
  t.say("map by id, RDONLY and WRONLY", BPF_MAP_GET_FD_BY_ID, attr);
  attr->open_flags = 1;
  t.say("map by id, flags 1", BPF_MAP_GET_FD_BY_ID, attr);
  for (const int cmd :
       {BPF_MAP_GET_FD_BY_ID, BPF_PROG_GET_FD_BY_ID, BPF_BTF_GET_FD_BY_ID, BPF_LINK_GET_FD_BY_ID}) {
    attr = Attr();
    t.say("id 0, command " + std::to_string(cmd), cmd, attr);
    attr->map_id = 0x7ffffff0;
    t.say("an id nobody has, command " + std::to_string(cmd), cmd, attr);
    attr->map_id = 0xffffffff;
    t.say("id 2^32-1, command " + std::to_string(cmd), cmd, attr);
  }
  for (const int cmd :
       {BPF_MAP_GET_NEXT_ID, BPF_PROG_GET_NEXT_ID, BPF_BTF_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID}) {
    attr = Attr();
    attr->start_id = 0x7ffffff0;
    t.say("after the last, command " + std::to_string(cmd), cmd, attr);
    attr->start_id = 0x7fffffff;
    t.say("after 2^31-1, command " + std::to_string(cmd), cmd, attr);
    attr = Attr();
    attr->open_flags = 1;
    t.say("with open_flags, command " + std::to_string(cmd), cmd, attr);
  }
  attr = Attr();
  attr->start_id = info.id - 1;
  t.say("the next after id - 1", BPF_MAP_GET_NEXT_ID, attr);
  t.line(attr->next_id == info.id ? "  is the map" : "  is another");
  t.close(program);
}

}  // namespace

void ids_and_info(Transcript& t) {
  map_info(t);
  info_sizes(t);
  ids(t);
}

}  // namespace transcript
