// Sizes of the attribute, unknown commands, and descriptors of the wrong kind, by command.
#include "tests/smoke/transcripts/transcript.hpp"

namespace transcript {
namespace {

struct Command {
  const char* name;
  int number;
};

constexpr Command kCommands[] = {
    {"MAP_CREATE", BPF_MAP_CREATE},
    {"MAP_LOOKUP_ELEM", BPF_MAP_LOOKUP_ELEM},
    {"MAP_UPDATE_ELEM", BPF_MAP_UPDATE_ELEM},
    {"MAP_DELETE_ELEM", BPF_MAP_DELETE_ELEM},
    {"MAP_GET_NEXT_KEY", BPF_MAP_GET_NEXT_KEY},
    {"PROG_LOAD", BPF_PROG_LOAD},
    {"OBJ_PIN", BPF_OBJ_PIN},
    {"OBJ_GET", BPF_OBJ_GET},
    {"PROG_ATTACH", BPF_PROG_ATTACH},
    {"PROG_DETACH", BPF_PROG_DETACH},
    {"PROG_TEST_RUN", BPF_PROG_TEST_RUN},
    {"PROG_GET_FD_BY_ID", BPF_PROG_GET_FD_BY_ID},
    {"MAP_GET_FD_BY_ID", BPF_MAP_GET_FD_BY_ID},
    {"OBJ_GET_INFO_BY_FD", BPF_OBJ_GET_INFO_BY_FD},
    {"PROG_QUERY", BPF_PROG_QUERY},
    {"BTF_LOAD", BPF_BTF_LOAD},
    {"BTF_GET_FD_BY_ID", BPF_BTF_GET_FD_BY_ID},
    {"TASK_FD_QUERY", BPF_TASK_FD_QUERY},
    {"MAP_LOOKUP_AND_DELETE_ELEM", BPF_MAP_LOOKUP_AND_DELETE_ELEM},
    {"MAP_FREEZE", BPF_MAP_FREEZE},
    {"MAP_LOOKUP_BATCH", BPF_MAP_LOOKUP_BATCH},
    {"MAP_LOOKUP_AND_DELETE_BATCH", BPF_MAP_LOOKUP_AND_DELETE_BATCH},
    {"MAP_UPDATE_BATCH", BPF_MAP_UPDATE_BATCH},
    {"MAP_DELETE_BATCH", BPF_MAP_DELETE_BATCH},
    {"LINK_CREATE", BPF_LINK_CREATE},
    {"LINK_UPDATE", BPF_LINK_UPDATE},
    {"LINK_GET_FD_BY_ID", BPF_LINK_GET_FD_BY_ID},
    {"ENABLE_STATS", BPF_ENABLE_STATS},
    {"LINK_DETACH", BPF_LINK_DETACH},
    {"PROG_BIND_MAP", BPF_PROG_BIND_MAP},
};

void sizes(Transcript& t) {
  for (const auto& command : kCommands) {
    Attr attr;
    t.say(std::string(command.name) + ", all zero", command.number, attr);
    std::memset(attr.bytes, 0xff, sizeof attr.bytes);
    t.say(std::string(command.name) + ", all ones", command.number, attr);
    attr = Attr();
    attr.bytes[167] = 1;
    t.say(std::string(command.name) + ", last byte set", command.number, attr);
    attr = Attr();
    t.say(std::string(command.name) + ", size 0", command.number, attr, 0);
    t.say(std::string(command.name) + ", size 4", command.number, attr, 4);
  }
}

void unusual_sizes(Transcript& t) {
  std::vector<uint8_t> large(8192);
  Attr attr;
  const auto with = [&](const char* what, unsigned size, uint8_t last) {
    std::fill(large.begin(), large.end(), 0);
    auto* made = reinterpret_cast<union bpf_attr*>(large.data());
    made->map_type = BPF_MAP_TYPE_ARRAY;
    made->key_size = made->value_size = 4;
    made->max_entries = 1;
    large[size - 1] = last;
    // Through a copy, since `say` takes the fixed size.
    struct Large : Attr {
      uint8_t more[8192];
    };
    static Large copy;
    std::memcpy(copy.bytes, large.data(), sizeof copy.bytes);
    std::memcpy(copy.more, large.data() + sizeof copy.bytes, sizeof copy.more - sizeof copy.bytes);
    t.say(what, BPF_MAP_CREATE, copy, size);
  };
  with("map create, 169 bytes, last 0", 169, 0);
  with("map create, 169 bytes, last 1", 169, 1);
  with("map create, 4096 bytes", 4096, 0);
  with("map create, 4097 bytes", 4097, 0);
  for (const int number : {-1, 38, 100, 1 << 20})
    t.say("command " + std::to_string(number), number, attr);
}

void wrong_kinds(Transcript& t) {
  const long map = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 1});
  const long program = t.load(BPF_PROG_TYPE_SOCKET_FILTER, {move(0, 0), leave()});
  uint32_t word = 0;
  const auto element = [&](const char* what, long fd) {
    t.element(what, BPF_MAP_LOOKUP_ELEM, fd, &word, &word);
    t.element(what, BPF_MAP_UPDATE_ELEM, fd, &word, &word);
    t.element(what, BPF_MAP_DELETE_ELEM, fd, &word, nullptr);
    t.element(what, BPF_MAP_GET_NEXT_KEY, fd, &word, &word);
  };
  element("a program as map", program);
  element("a closed one as map", 9999);
  element("-1 as map", -1);
  Attr attr;
  attr->test.prog_fd = static_cast<uint32_t>(map);
  t.say("test run of a map", BPF_PROG_TEST_RUN, attr);
  attr->test.prog_fd = 9999;
  t.say("test run of a closed one", BPF_PROG_TEST_RUN, attr);
  attr = Attr();
  attr->info.bpf_fd = 1;
  t.say("info of no object", BPF_OBJ_GET_INFO_BY_FD, attr);
  attr->info.bpf_fd = 9999;
  t.say("info of a closed one", BPF_OBJ_GET_INFO_BY_FD, attr);
  attr = Attr();
  attr->prog_bind_map.prog_fd = static_cast<uint32_t>(map);
  attr->prog_bind_map.map_fd = static_cast<uint32_t>(map);
  t.say("bind a map to a map", BPF_PROG_BIND_MAP, attr);
  attr->prog_bind_map.prog_fd = static_cast<uint32_t>(program);
  attr->prog_bind_map.map_fd = static_cast<uint32_t>(program);
  t.say("bind a program to a program", BPF_PROG_BIND_MAP, attr);
  attr->prog_bind_map.map_fd = static_cast<uint32_t>(map);
  t.say("bind", BPF_PROG_BIND_MAP, attr);
  t.say("bind again", BPF_PROG_BIND_MAP, attr);
  attr->prog_bind_map.flags = 1;
  t.say("bind with flags", BPF_PROG_BIND_MAP, attr);
  attr = Attr();
  attr->enable_stats.type = 1;
  t.say("statistics of an unknown type", BPF_ENABLE_STATS, attr);
}

}  // namespace

void attribute_rules(Transcript& t) {
  sizes(t);
  unusual_sizes(t);
  wrong_kinds(t);
}

}  // namespace transcript
