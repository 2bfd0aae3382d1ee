// BTF_LOAD: which blobs the kernel takes, and BTF on maps.
#include "tests/smoke/transcripts/btf_builder.hpp"

namespace transcript {
namespace {

void headers(Transcript& t) {
  BtfBuilder btf;
  btf.integer("int", 4);
  say_btf(t, "one int", btf.blob());
  const auto with = [&](const char* what, auto change) {
    btf_header header = btf.header();
    change(header);
    say_btf(t, what, btf.blob(header));
  };
  with("bad magic", [](btf_header& h) { h.magic = 1; });
  with("version 2", [](btf_header& h) { h.version = 2; });
  with("flags 1", [](btf_header& h) { h.flags = 1; });
  with("hdr_len 20", [](btf_header& h) { h.hdr_len = 20; });
  with("hdr_len 28", [](btf_header& h) { h.hdr_len = 28; });
  with("hdr_len 10000", [](btf_header& h) { h.hdr_len = 10000; });
  with("type_off 4", [](btf_header& h) { h.type_off = 4; });
  with("type_off 1", [](btf_header& h) { h.type_off = 1; });
  with("type_len 0", [](btf_header& h) { h.type_len = 0; });
  with("type_len longer", [](btf_header& h) { h.type_len += 4; });
  with("type_len shorter", [](btf_header& h) { h.type_len -= 4; });
  with("str_off longer", [](btf_header& h) { h.str_off += 4; });
  with("str_len 0", [](btf_header& h) { h.str_len = 0; });
  with("str_len longer", [](btf_header& h) { h.str_len++; });
  with("str_len shorter", [](btf_header& h) { h.str_len--; });
  std::string blob = btf.blob();
  say_btf(t, "strings without last zero", blob.substr(0, blob.size() - 1) + "x");
  say_btf(t, "a byte behind", blob + '\0');
  say_btf(t, "4 bytes", blob.substr(0, 4));
  say_btf(t, "8 bytes", blob.substr(0, 8));
  say_btf(t, "the header alone", blob.substr(0, sizeof(btf_header)));
  say_btf(t, "nothing", "");
  Attr attr;
  attr->btf = 4096;
  attr->btf_size = 100;
  t.say("a bad address", BPF_BTF_LOAD, attr);
  attr->btf_size = (16u << 20) + 1;
  t.say("more than 16 MiB", BPF_BTF_LOAD, attr);
  attr = Attr();
  attr->btf = address(blob.data());
  attr->btf_size = static_cast<uint32_t>(blob.size());
  attr->btf_log_level = 1;
  t.say("log level 1 without buffer", BPF_BTF_LOAD, attr);
  attr->btf_log_size = 100;
  t.say("log size without buffer", BPF_BTF_LOAD, attr);
  char log[4096];
  attr->btf_log_buf = address(log);
  attr->btf_log_size = sizeof log;
  t.say("log", BPF_BTF_LOAD, attr);
  attr->btf_log_level = 0;
  t.say("log buffer, level 0", BPF_BTF_LOAD, attr);
}

// One type behind an int (1); its fields by the row.
struct TypeCase {
  const char* what;
  bool named;
  uint32_t kind;
  uint32_t vlen;
  uint32_t size_or_type;
  std::vector<uint32_t> extra;
  bool flag = false;
};

const TypeCase kTypes[] = {
    {"kind 0", true, 0, 0, 0, {}},
    {"kind 20", true, 20, 0, 0, {}},
    {"kind 31", true, 31, 0, 0, {}},
    {"int of 3 bytes, 24 bits", true, BTF_KIND_INT, 0, 3, {24}},
    {"int of 4 bytes, 33 bits", true, BTF_KIND_INT, 0, 4, {33}},
    {"int of 4 bytes, 31 bits", true, BTF_KIND_INT, 0, 4, {31}},
    {"int of 16 bytes", true, BTF_KIND_INT, 0, 16, {128}},
    {"int of 32 bytes", true, BTF_KIND_INT, 0, 32, {128}},
    {"int of 4 bytes, offset 8, 16 bits", true, BTF_KIND_INT, 0, 4, {8u << 16 | 16}},
    {"int signed", true, BTF_KIND_INT, 0, 4, {1u << 24 | 32}},
    {"int signed and char", true, BTF_KIND_INT, 0, 4, {3u << 24 | 32}},
    {"int, encoding 8", true, BTF_KIND_INT, 0, 4, {8u << 24 | 32}},
    {"int with vlen", true, BTF_KIND_INT, 1, 4, {32}},
    {"int with flag", true, BTF_KIND_INT, 0, 4, {32}, true},
    {"int without name", false, BTF_KIND_INT, 0, 4, {32}},
    {"int cut off", true, BTF_KIND_INT, 0, 4, {}},
    {"ptr", false, BTF_KIND_PTR, 0, 1, {}},
    {"ptr to void", false, BTF_KIND_PTR, 0, 0, {}},
    {"ptr with name", true, BTF_KIND_PTR, 0, 1, {}},
    {"ptr to itself", false, BTF_KIND_PTR, 0, 2, {}},
    {"ptr to no type", false, BTF_KIND_PTR, 0, 9, {}},
    {"const of itself", false, BTF_KIND_CONST, 0, 2, {}},
    {"const", false, BTF_KIND_CONST, 0, 1, {}},
    {"const void", false, BTF_KIND_CONST, 0, 0, {}},
    {"volatile with name", true, BTF_KIND_VOLATILE, 0, 1, {}},
    {"typedef", true, BTF_KIND_TYPEDEF, 0, 1, {}},
    {"typedef without name", false, BTF_KIND_TYPEDEF, 0, 1, {}},
    {"typedef of itself", true, BTF_KIND_TYPEDEF, 0, 2, {}},
    {"array", false, BTF_KIND_ARRAY, 0, 0, {1, 1, 4}},
    {"array with size", false, BTF_KIND_ARRAY, 0, 4, {1, 1, 4}},
    {"array of void", false, BTF_KIND_ARRAY, 0, 0, {0, 1, 4}},
    {"array indexed by void", false, BTF_KIND_ARRAY, 0, 0, {1, 0, 4}},
    {"array of itself", false, BTF_KIND_ARRAY, 0, 0, {2, 1, 4}},
    {"array with name", true, BTF_KIND_ARRAY, 0, 0, {1, 1, 4}},
    {"array too large", false, BTF_KIND_ARRAY, 0, 0, {1, 1, 0x40000000}},
    {"struct", true, BTF_KIND_STRUCT, 1, 4, {0, 1, 0}},
    {"struct empty", true, BTF_KIND_STRUCT, 0, 0, {}},
    {"struct, member beyond the end", true, BTF_KIND_STRUCT, 1, 4, {0, 1, 8}},
    {"struct, members out of order", true, BTF_KIND_STRUCT, 2, 8, {0, 1, 32, 0, 1, 0}},
    {"struct, unaligned member", true, BTF_KIND_STRUCT, 1, 8, {0, 1, 4}},
    {"struct, member of void", true, BTF_KIND_STRUCT, 1, 4, {0, 0, 0}},
    {"struct of itself", true, BTF_KIND_STRUCT, 1, 4, {0, 2, 0}},
    {"struct, bitfield", true, BTF_KIND_STRUCT, 1, 4, {0, 1, 3u << 24}, true},
    {"struct, bitfield too wide", true, BTF_KIND_STRUCT, 1, 4, {0, 1, 33u << 24}, true},
    {"struct, member's name nowhere", true, BTF_KIND_STRUCT, 1, 4, {9999, 1, 0}},
    {"struct, two members cut off", true, BTF_KIND_STRUCT, 2, 8, {0, 1, 0}},
    {"union", true, BTF_KIND_UNION, 2, 4, {0, 1, 0, 0, 1, 0}},
    {"union, member at 8", true, BTF_KIND_UNION, 1, 8, {0, 1, 8}},
    {"enum", true, BTF_KIND_ENUM, 1, 4, {1, 5}},
    {"enum of 3 bytes", true, BTF_KIND_ENUM, 1, 3, {1, 5}},
    {"enum of 8 bytes", true, BTF_KIND_ENUM, 1, 8, {1, 5}},
    {"enum, value without name", true, BTF_KIND_ENUM, 1, 4, {0, 5}},
    {"enum without values", true, BTF_KIND_ENUM, 0, 4, {}},
    {"fwd", true, BTF_KIND_FWD, 0, 0, {}},
    {"fwd without name", false, BTF_KIND_FWD, 0, 0, {}},
    {"fwd with type", true, BTF_KIND_FWD, 0, 1, {}},
    {"fwd with vlen", true, BTF_KIND_FWD, 1, 0, {}},
    {"func of an int", true, BTF_KIND_FUNC, 0, 1, {}},
    {"func, linkage 3", true, BTF_KIND_FUNC, 3, 1, {}},
    {"func_proto", false, BTF_KIND_FUNC_PROTO, 1, 1, {0, 1}},
    {"func_proto with name", true, BTF_KIND_FUNC_PROTO, 0, 1, {}},
    {"func_proto, parameter of void", false, BTF_KIND_FUNC_PROTO, 1, 1, {0, 0}},
    {"func_proto, void before the last", false, BTF_KIND_FUNC_PROTO, 2, 1, {0, 0, 0, 1}},
    {"func_proto returning no type", false, BTF_KIND_FUNC_PROTO, 0, 9, {}},
    {"var", true, BTF_KIND_VAR, 0, 1, {1}},
    {"var, linkage 7", true, BTF_KIND_VAR, 0, 1, {7}},
    {"var without name", false, BTF_KIND_VAR, 0, 1, {1}},
    {"var of void", true, BTF_KIND_VAR, 0, 0, {1}},
    {"datasec of an int", true, BTF_KIND_DATASEC, 1, 4, {1, 0, 4}},
    {"datasec empty", true, BTF_KIND_DATASEC, 0, 4, {}},
    {"datasec of size 0", true, BTF_KIND_DATASEC, 0, 0, {}},
    {"datasec without name", false, BTF_KIND_DATASEC, 0, 4, {}},
    {"float of 4", true, BTF_KIND_FLOAT, 0, 4, {}},
    {"float of 5", true, BTF_KIND_FLOAT, 0, 5, {}},
    {"float of 12", true, BTF_KIND_FLOAT, 0, 12, {}},
    {"decl_tag of an int", true, BTF_KIND_DECL_TAG, 0, 1, {0xffffffff}},
    {"type_tag", true, BTF_KIND_TYPE_TAG, 0, 1, {}},
    {"type_tag without name", false, BTF_KIND_TYPE_TAG, 0, 1, {}},
    {"enum64", true, BTF_KIND_ENUM64, 1, 8, {1, 5, 5}},
    {"enum64 of 4", true, BTF_KIND_ENUM64, 1, 4, {1, 5, 5}},
    {"reserved info bits", true, BTF_KIND_INT, 1u << 16, 4, {32}},
};

void types(Transcript& t) {
  for (const auto& one : kTypes) {
    BtfBuilder btf;
    btf.integer("int", 4);
    btf.type(one.named ? btf.string("x") : 0, one.kind, one.vlen, one.size_or_type, one.extra,
             one.flag);
    say_btf(t, one.what, btf.blob());
  }
}

void names(Transcript& t) {
  for (const char* name : {"a", "_a", "1a", "a b", "a.b", ".data", "a\xff", "unsigned int"}) {
    for (const uint32_t kind :
         {BTF_KIND_INT, BTF_KIND_STRUCT, BTF_KIND_TYPEDEF, BTF_KIND_DATASEC, BTF_KIND_FWD}) {
      BtfBuilder btf;
      btf.integer("int", 4);
      const bool integer = kind == BTF_KIND_INT;
      const std::vector<uint32_t> extra =
          integer ? std::vector<uint32_t>{32} : std::vector<uint32_t>{};
      const uint32_t size = integer                    ? 4
                            : kind == BTF_KIND_TYPEDEF ? 1
                            : kind == BTF_KIND_DATASEC ? 4
                                                       : 0;
      btf.type(btf.string(name), kind, 0, size, extra);
      say_btf(t, "kind " + std::to_string(kind) + " named \"" + name + "\"", btf.blob());
    }
  }
}

void chains(Transcript& t) {
  BtfBuilder btf;
  btf.integer("int", 4);
  const uint32_t var = btf.type(btf.string("v"), BTF_KIND_VAR, 0, 1, {1});
  btf.type(btf.string(".data"), BTF_KIND_DATASEC, 1, 4, {var, 0, 4});
  say_btf(t, "datasec of a var", btf.blob());
  btf.type(btf.string(".two"), BTF_KIND_DATASEC, 1, 4, {var, 2, 4});
  say_btf(t, "datasec, var beyond the end", btf.blob());
  BtfBuilder small;
  small.integer("int", 4);
  small.type(small.string("v"), BTF_KIND_VAR, 0, 1, {1});
  small.type(small.string(".data"), BTF_KIND_DATASEC, 1, 8, {2, 0, 2});
  say_btf(t, "datasec, var smaller than its type", small.blob());
  BtfBuilder tag;
  tag.integer("int", 4);
  tag.type(tag.string("s"), BTF_KIND_STRUCT, 1, 4, {0, 1, 0});
  tag.type(tag.string("tag"), BTF_KIND_DECL_TAG, 0, 2, {0});
  say_btf(t, "decl_tag of a member", tag.blob());
  tag.type(tag.string("tag"), BTF_KIND_DECL_TAG, 0, 2, {1});
  say_btf(t, "decl_tag of a member beyond", tag.blob());
  BtfBuilder loop;
  loop.type(loop.string("a"), BTF_KIND_STRUCT, 1, 8, {0, 2, 0});
  loop.type(0, BTF_KIND_PTR, 0, 1);
  say_btf(t, "a struct with a pointer to itself", loop.blob());
  BtfBuilder cycle;
  cycle.type(cycle.string("a"), BTF_KIND_STRUCT, 1, 8, {0, 2, 0});
  cycle.type(cycle.string("b"), BTF_KIND_STRUCT, 1, 8, {0, 1, 0});
  say_btf(t, "two structs in each other", cycle.blob());
  BtfBuilder deep;
  deep.integer("int", 4);
  for (uint32_t i = 1; i <= 40; i++) deep.type(0, BTF_KIND_CONST, 0, i);
  say_btf(t, "40 consts", deep.blob());
  BtfBuilder back;
  for (uint32_t i = 2; i <= 40; i++) back.type(0, BTF_KIND_CONST, 0, i);
  back.integer("int", 4);
  say_btf(t, "40 consts backwards", back.blob());
  BtfBuilder function;
  function.integer("int", 4);
  function.type(0, BTF_KIND_FUNC_PROTO, 1, 1, {0, 1});
  function.type(function.string("f"), BTF_KIND_FUNC, BTF_FUNC_GLOBAL, 2);
  say_btf(t, "a global function, argument without name", function.blob());
  BtfBuilder named;
  named.integer("int", 4);
  named.type(0, BTF_KIND_FUNC_PROTO, 1, 1, {named.string("x"), 1});
  named.type(named.string("f"), BTF_KIND_FUNC, BTF_FUNC_GLOBAL, 2);
  say_btf(t, "a global function", named.blob());
  named.type(0, BTF_KIND_PTR, 0, 3);
  say_btf(t, "a pointer to a function", named.blob());
}

void on_maps(Transcript& t) {
  BtfBuilder btf;
  btf.integer("int", 4);                                                               // 1
  btf.type(btf.string("s"), BTF_KIND_STRUCT, 2, 8, {0, 1, 0, 0, 1, 32});               // 2
  btf.type(btf.string("bpf_spin_lock"), BTF_KIND_STRUCT, 1, 4, {btf.string("val"), 1, 0});  // 3
  btf.type(btf.string("locked"), BTF_KIND_STRUCT, 2, 8,
           {btf.string("l"), 3, 0, btf.string("v"), 1, 32});  // 4
  btf.type(btf.string("other"), BTF_KIND_STRUCT, 2, 8,
           {btf.string("l"), 1, 0, btf.string("v"), 3, 32});                           // 5
  btf.type(0, BTF_KIND_FUNC_PROTO, 0, 1);                                              // 6
  btf.type(btf.string("v"), BTF_KIND_VAR, 0, 2, {1});                                  // 7
  btf.type(btf.string(".data"), BTF_KIND_DATASEC, 1, 8, {7, 0, 8});                    // 8
  btf.type(btf.string("mine"), BTF_KIND_TYPEDEF, 0, 1);                                // 9
  btf.type(0, BTF_KIND_PTR, 0, 1);                                                     // 10
  const long fd = say_btf(t, "types", btf.blob());
  BtfBuilder twice = btf;
  twice.type(twice.string("twice"), BTF_KIND_STRUCT, 2, 8, {0, 3, 0, 0, 3, 32});
  say_btf(t, "a struct with two locks", twice.blob());
  struct Case {
    const char* what;
    Shape shape;
    uint32_t key;
    uint32_t value;
  };
  const Case cases[] = {
      {"hash of int to s", {BPF_MAP_TYPE_HASH, 4, 8, 1}, 1, 2},
      {"hash, key too small", {BPF_MAP_TYPE_HASH, 8, 8, 1}, 1, 2},
      {"hash, value too small", {BPF_MAP_TYPE_HASH, 4, 4, 1}, 1, 2},
      {"hash, typedef key", {BPF_MAP_TYPE_HASH, 4, 8, 1}, 9, 2},
      {"hash, no such key", {BPF_MAP_TYPE_HASH, 4, 8, 1}, 99, 2},
      {"hash, no such value", {BPF_MAP_TYPE_HASH, 4, 8, 1}, 1, 99},
      {"hash, key a function", {BPF_MAP_TYPE_HASH, 4, 8, 1}, 6, 2},
      {"hash, value a pointer", {BPF_MAP_TYPE_HASH, 4, 8, 1}, 1, 10},
      {"hash without key type", {BPF_MAP_TYPE_HASH, 4, 8, 1}, 0, 2},
      {"hash with a lock", {BPF_MAP_TYPE_HASH, 4, 8, 1}, 1, 4},
      {"hash with a lock behind", {BPF_MAP_TYPE_HASH, 4, 8, 1}, 1, 5},
      {"array of s", {BPF_MAP_TYPE_ARRAY, 4, 8, 1}, 1, 2},
      {"array with a struct as key", {BPF_MAP_TYPE_ARRAY, 4, 4, 1}, 3, 1},
      {"array with a typedef as key", {BPF_MAP_TYPE_ARRAY, 4, 4, 1}, 9, 1},
      {"array without key type", {BPF_MAP_TYPE_ARRAY, 4, 8, 1}, 0, 2},
      {"array of a section", {BPF_MAP_TYPE_ARRAY, 4, 8, 1}, 0, 8},
      {"array of a section, two elements", {BPF_MAP_TYPE_ARRAY, 4, 8, 2}, 0, 8},
      {"array with a lock", {BPF_MAP_TYPE_ARRAY, 4, 8, 1}, 1, 4},
      {"array with a lock, RDONLY_PROG", {BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_RDONLY_PROG}, 1, 4},
      {"percpu_array of s", {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1}, 1, 2},
      {"percpu_array with a lock", {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1}, 1, 4},
      {"percpu_hash with a lock", {BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 1}, 1, 4},
      {"lru_hash with a lock", {BPF_MAP_TYPE_LRU_HASH, 4, 8, 1}, 1, 4},
      {"lru_hash of int to s", {BPF_MAP_TYPE_LRU_HASH, 4, 8, 1}, 1, 2},
      {"lpm_trie with an int as key", {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 1, BPF_F_NO_PREALLOC}, 1, 2},
      {"lpm_trie with a struct as key", {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 1, BPF_F_NO_PREALLOC}, 2, 2},
      {"queue of s", {BPF_MAP_TYPE_QUEUE, 0, 8, 1}, 0, 2},
      {"bloom_filter of s", {BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 1}, 0, 2},
      {"prog_array of int", {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1}, 1, 1},
      {"perf_event_array of int", {BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1}, 1, 1},
      {"devmap of int", {BPF_MAP_TYPE_DEVMAP, 4, 4, 1}, 1, 1},
      {"ringbuf", {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096}, 0, 1},
  };
  for (const auto& one : cases) {
    Attr attr;
    attr->map_type = one.shape.type;
    attr->key_size = one.shape.key_size;
    attr->value_size = one.shape.value_size;
    attr->max_entries = one.shape.max_entries;
    attr->map_flags = one.shape.flags;
    attr->btf_fd = static_cast<uint32_t>(fd);
    attr->btf_key_type_id = one.key;
    attr->btf_value_type_id = one.value;
    const long map = t.say(one.what, BPF_MAP_CREATE, attr);
    if (map < 0 || one.value != 4) continue;
    uint32_t key = 0;
    uint32_t value[2] = {7, 8};
    t.element("  update", BPF_MAP_UPDATE_ELEM, map, &key, value);
    t.element("  update LOCK", BPF_MAP_UPDATE_ELEM, map, &key, value, BPF_F_LOCK);
    uint32_t out[2] = {};
    t.element("  lookup", BPF_MAP_LOOKUP_ELEM, map, &key, out);
    t.bytes("  value", out, sizeof out);
    t.element("  lookup LOCK", BPF_MAP_LOOKUP_ELEM, map, &key, out, BPF_F_LOCK);
    t.bytes("  value", out, sizeof out);
  }
}

void info(Transcript& t) {
  BtfBuilder btf;
  btf.integer("int", 4);
  const std::string blob = btf.blob();
  const long fd = say_btf(t, "load", blob);
  bpf_btf_info info{};
  char name[16] = "xxx";
  std::string out(blob.size() + 8, 'x');
  Attr attr;
  attr->info.bpf_fd = static_cast<uint32_t>(fd);
  attr->info.info = address(&info);
  attr->info.info_len = sizeof info;
  t.say("info", BPF_OBJ_GET_INFO_BY_FD, attr);
  t.number("  btf_size", info.btf_size);
  t.number("  kernel_btf", info.kernel_btf);
  t.number("  name_len", info.name_len);
  t.number("  info_len", attr->info.info_len);
  info.btf = address(out.data());
  info.btf_size = static_cast<uint32_t>(out.size());
  info.name = address(name);
  info.name_len = sizeof name;
  t.say("info with room", BPF_OBJ_GET_INFO_BY_FD, attr);
  t.line(out.substr(0, blob.size()) == blob ? "  the same blob" : "  another blob");
  t.line(out[blob.size()] == 'x' ? "  nothing behind" : "  written behind");
  t.line(std::string("  name \"") + name + "\"");
  info.btf_size = 8;
  t.say("info with room for 8", BPF_OBJ_GET_INFO_BY_FD, attr);
  t.number("  btf_size", info.btf_size);
  info.btf = 0;
  info.btf_size = 8;
  t.say("btf at address 0", BPF_OBJ_GET_INFO_BY_FD, attr);
  info.btf_size = 0;
  info.name_len = 0;
  t.say("name without room", BPF_OBJ_GET_INFO_BY_FD, attr);
  info.name = 0;
  info.name_len = 5;
  t.say("name_len without name", BPF_OBJ_GET_INFO_BY_FD, attr);
  attr = Attr();
  attr->btf_id = info.id;
  t.say("by id", BPF_BTF_GET_FD_BY_ID, attr);
}

}  // namespace

void btf_loading(Transcript& t) {
  headers(t);
  types(t);
  names(t);
  chains(t);
  on_maps(t);
  info(t);
}

}  // namespace transcript
