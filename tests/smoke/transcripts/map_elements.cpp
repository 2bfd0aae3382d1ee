// Lookup, update, delete, next key and lookup-and-delete on every type.
#include <sys/sysinfo.h>

#include "tests/smoke/transcripts/transcript.hpp"

namespace transcript {
namespace {

// The same operations on types that take 4-byte keys and values.
void plain(Transcript& t, const std::string& name, const Shape& shape) {
  t.line("-- " + name);
  const long fd = t.create(shape);
  if (fd < 0) return t.line("create = " + result_text(BPF_MAP_CREATE, fd));
  t.keys("keys of the new map", fd);
  t.lookup("lookup 1", fd, 1);
  t.erase("delete 1", fd, 1);
  t.update("update 1 EXIST", fd, 1, 10, BPF_EXIST);
  t.update("update 1 NOEXIST", fd, 1, 11, BPF_NOEXIST);
  t.lookup("lookup 1", fd, 1);
  t.update("update 1 NOEXIST again", fd, 1, 12, BPF_NOEXIST);
  t.update("update 1 ANY", fd, 1, 13);
  t.update("update 1 EXIST", fd, 1, 14, BPF_EXIST);
  t.update("update 1 flags 3", fd, 1, 14, 3);
  t.update("update 1 LOCK", fd, 1, 14, BPF_F_LOCK);
  t.update("update 1 flags 1<<40", fd, 1, 14, uint64_t{1} << 40);
  t.lookup("lookup 1", fd, 1);
  t.update("update 2", fd, 2, 20);
  t.update("update 3", fd, 3, 30);
  t.update("update 4", fd, 4, 40);
  t.update("update 5", fd, 5, 50);
  t.update("update 1 when full", fd, 1, 15);
  t.keys("keys", fd);
  uint32_t key = 2;
  uint32_t value = 0;
  uint32_t next = 0;
  t.element("lookup and delete 2", BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, &key, &value);
  t.number("  value", value);
  t.element("lookup and delete 2 again", BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, &key, &value);
  t.element("lookup and delete, flags 1", BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, &key, &value, 1);
  t.element("lookup, flags 1", BPF_MAP_LOOKUP_ELEM, fd, &key, &value, 1);
  t.element("lookup LOCK", BPF_MAP_LOOKUP_ELEM, fd, &key, &value, BPF_F_LOCK);
  t.erase("delete 3", fd, 3);
  t.erase("delete 3 again", fd, 3);
  t.keys("keys", fd);
  t.element("next key without room", BPF_MAP_GET_NEXT_KEY, fd, nullptr, nullptr);
  t.element("lookup with key 0", BPF_MAP_LOOKUP_ELEM, fd, nullptr, &value);
  t.element("update with key 0", BPF_MAP_UPDATE_ELEM, fd, nullptr, &value);
  key = 1;
  t.element("update with value 0", BPF_MAP_UPDATE_ELEM, fd, &key, nullptr);
  t.element("lookup with value 0", BPF_MAP_LOOKUP_ELEM, fd, &key, nullptr);
  t.element("delete with key 0", BPF_MAP_DELETE_ELEM, fd, nullptr, nullptr);
  key = 1000;
  t.element("next key after one that is not there", BPF_MAP_GET_NEXT_KEY, fd, &key, &next);
}

void per_cpu(Transcript& t, const std::string& name, const Shape& shape) {
  t.line("-- " + name);
  const long fd = t.create(shape);
  if (fd < 0) return t.line("create = " + result_text(BPF_MAP_CREATE, fd));
  const auto cpus = static_cast<size_t>(::get_nprocs_conf());
  std::vector<uint64_t> values(cpus);
  for (size_t i = 0; i < cpus; i++) values[i] = 100 + i;
  uint32_t key = 0;
  t.element("update 0", BPF_MAP_UPDATE_ELEM, fd, &key, values.data());
  std::vector<uint64_t> out(cpus + 1, 0xee);
  t.element("lookup 0", BPF_MAP_LOOKUP_ELEM, fd, &key, out.data());
  for (const uint64_t value : out) t.number("  value", value);
  t.element("update 0 NOEXIST", BPF_MAP_UPDATE_ELEM, fd, &key, values.data(), BPF_NOEXIST);
  t.element("update 0 LOCK", BPF_MAP_UPDATE_ELEM, fd, &key, values.data(), BPF_F_LOCK);
  key = 9;
  t.element("lookup 9", BPF_MAP_LOOKUP_ELEM, fd, &key, out.data());
  t.element("update 9", BPF_MAP_UPDATE_ELEM, fd, &key, values.data());
  t.element("lookup and delete 9", BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, &key, out.data());
  t.element("delete 9", BPF_MAP_DELETE_ELEM, fd, &key, nullptr);
}

void lpm(Transcript& t) {
  t.line("-- lpm_trie");
  struct Key {
    uint32_t bits;
    uint8_t data[4];
  };
  const long fd = t.create({BPF_MAP_TYPE_LPM_TRIE, 8, 4, 3, BPF_F_NO_PREALLOC});
  if (fd < 0) return t.line("create = " + result_text(BPF_MAP_CREATE, fd));
  uint32_t value = 1;
  const auto update = [&](const char* what, Key key, uint32_t to, uint64_t flags = 0) {
    value = to;
    t.element(what, BPF_MAP_UPDATE_ELEM, fd, &key, &value, flags);
  };
  const auto lookup = [&](const char* what, Key key) {
    value = 0;
    if (t.element(what, BPF_MAP_LOOKUP_ELEM, fd, &key, &value) == 0) t.number("  value", value);
  };
  const auto erase = [&](const char* what, Key key) {
    t.element(what, BPF_MAP_DELETE_ELEM, fd, &key, nullptr);
  };
  lookup("lookup in the empty trie", {32, {10, 1, 2, 3}});
  update("update 10/8", {8, {10, 0, 0, 0}}, 8);
  update("update 10.1/16", {16, {10, 1, 0, 0}}, 16);
  update("update 10.1/16 NOEXIST", {16, {10, 1, 0, 0}}, 17, BPF_NOEXIST);
  update("update 10.1/16 EXIST", {16, {10, 1, 0, 0}}, 18, BPF_EXIST);
  update("update 10.2/16 EXIST", {16, {10, 2, 0, 0}}, 18, BPF_EXIST);
  update("update /33", {33, {10, 2, 0, 0}}, 18);
  update("update LOCK", {16, {10, 1, 0, 0}}, 18, BPF_F_LOCK);
  update("update 10.1.2.3/32", {32, {10, 1, 2, 3}}, 32);
  update("update 11/8 when full", {8, {11, 0, 0, 0}}, 11);
  lookup("lookup 10.1.2.3", {32, {10, 1, 2, 3}});
  lookup("lookup 10.1.2.4", {32, {10, 1, 2, 4}});
  lookup("lookup 10.9.9.9", {32, {10, 9, 9, 9}});
  lookup("lookup 11.1.1.1", {32, {11, 1, 1, 1}});
  lookup("lookup 10.1/16", {16, {10, 1, 2, 3}});
  lookup("lookup /33", {33, {10, 1, 2, 3}});
  Key key{};
  Key next{};
  long result = t.element("first key", BPF_MAP_GET_NEXT_KEY, fd, nullptr, &next);
  while (result == 0) {
    t.bytes("  key", &next, sizeof next);
    key = next;
    result = t.element("next key", BPF_MAP_GET_NEXT_KEY, fd, &key, &next);
  }
  t.element("lookup and delete", BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, &key, &value);
  erase("delete 10.1/17", {17, {10, 1, 0, 0}});
  erase("delete 10.1/16", {16, {10, 1, 0, 0}});
  erase("delete 10.1/16 again", {16, {10, 1, 0, 0}});
  erase("delete /33", {33, {10, 1, 0, 0}});
  lookup("lookup 10.1.2.4", {32, {10, 1, 2, 4}});
  update("update 0/0", {0, {0, 0, 0, 0}}, 99);
  lookup("lookup 11.1.1.1", {32, {11, 1, 1, 1}});
}

void keyless(Transcript& t, const std::string& name, uint32_t type) {
  t.line("-- " + name);
  const long fd = t.create({type, 0, 4, 2});
  if (fd < 0) return t.line("create = " + result_text(BPF_MAP_CREATE, fd));
  uint32_t key = 0;
  uint32_t value = 0;
  const auto push = [&](const char* what, uint32_t pushed, uint64_t flags = 0) {
    value = pushed;
    t.element(what, BPF_MAP_UPDATE_ELEM, fd, nullptr, &value, flags);
  };
  const auto get = [&](const char* what, int cmd, uint64_t flags = 0) {
    value = 7;
    if (t.element(what, cmd, fd, nullptr, &value, flags) == 0) t.number("  value", value);
  };
  get("peek when empty", BPF_MAP_LOOKUP_ELEM);
  get("pop when empty", BPF_MAP_LOOKUP_AND_DELETE_ELEM);
  push("push 1", 1);
  push("push 2", 2);
  push("push 3 when full", 3);
  push("push 4 EXIST", 4, BPF_EXIST);
  push("push 5 NOEXIST", 5, BPF_NOEXIST);
  push("push 6 flags 8", 6, 8);
  get("peek", BPF_MAP_LOOKUP_ELEM);
  get("pop", BPF_MAP_LOOKUP_AND_DELETE_ELEM);
  get("pop, flags LOCK", BPF_MAP_LOOKUP_AND_DELETE_ELEM, BPF_F_LOCK);
  get("pop, flags 1", BPF_MAP_LOOKUP_AND_DELETE_ELEM, 1);
  get("pop", BPF_MAP_LOOKUP_AND_DELETE_ELEM);
  get("pop", BPF_MAP_LOOKUP_AND_DELETE_ELEM);
  t.element("push with a key", BPF_MAP_UPDATE_ELEM, fd, &key, &value);
  t.element("peek with a key", BPF_MAP_LOOKUP_ELEM, fd, &key, &value);
  t.element("pop with a key", BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, &key, &value);
  t.element("delete", BPF_MAP_DELETE_ELEM, fd, nullptr, nullptr);
  t.element("delete with a key", BPF_MAP_DELETE_ELEM, fd, &key, nullptr);
  t.element("next key", BPF_MAP_GET_NEXT_KEY, fd, nullptr, &key);
  t.element("push without value", BPF_MAP_UPDATE_ELEM, fd, nullptr, nullptr);
}

void bloom(Transcript& t) {
  t.line("-- bloom_filter");
  const long fd = t.create({BPF_MAP_TYPE_BLOOM_FILTER, 0, 4, 100});
  if (fd < 0) return t.line("create = " + result_text(BPF_MAP_CREATE, fd));
  uint32_t value = 5;
  uint32_t key = 0;
  t.element("peek 5", BPF_MAP_LOOKUP_ELEM, fd, nullptr, &value);
  t.element("push 5", BPF_MAP_UPDATE_ELEM, fd, nullptr, &value);
  t.element("peek 5", BPF_MAP_LOOKUP_ELEM, fd, nullptr, &value);
  t.element("push EXIST", BPF_MAP_UPDATE_ELEM, fd, nullptr, &value, BPF_EXIST);
  t.element("push NOEXIST", BPF_MAP_UPDATE_ELEM, fd, nullptr, &value, BPF_NOEXIST);
  t.element("pop", BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, nullptr, &value);
  t.element("delete", BPF_MAP_DELETE_ELEM, fd, nullptr, nullptr);
  t.element("delete with a key", BPF_MAP_DELETE_ELEM, fd, &key, nullptr);
  t.element("next key", BPF_MAP_GET_NEXT_KEY, fd, nullptr, &key);
  t.element("push with a key", BPF_MAP_UPDATE_ELEM, fd, &key, &value);
  t.element("peek without value", BPF_MAP_LOOKUP_ELEM, fd, nullptr, nullptr);
}

void ring(Transcript& t) {
  t.line("-- ringbuf");
  const long fd = t.create({BPF_MAP_TYPE_RINGBUF, 0, 0, 4096});
  if (fd < 0) return t.line("create = " + result_text(BPF_MAP_CREATE, fd));
  uint32_t word = 0;
  t.element("lookup", BPF_MAP_LOOKUP_ELEM, fd, nullptr, &word);
  t.element("update", BPF_MAP_UPDATE_ELEM, fd, nullptr, &word);
  t.element("delete", BPF_MAP_DELETE_ELEM, fd, nullptr, nullptr);
  t.element("next key", BPF_MAP_GET_NEXT_KEY, fd, nullptr, &word);
  t.element("lookup and delete", BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, nullptr, &word);
}

}  // namespace

void map_elements(Transcript& t) {
  plain(t, "hash", {BPF_MAP_TYPE_HASH, 4, 4, 4});
  plain(t, "hash, NO_PREALLOC", {BPF_MAP_TYPE_HASH, 4, 4, 4, BPF_F_NO_PREALLOC});
  plain(t, "array", {BPF_MAP_TYPE_ARRAY, 4, 4, 4});
  plain(t, "lru_hash, room for all", {BPF_MAP_TYPE_LRU_HASH, 4, 4, 1000});
  plain(t, "cpumap", {BPF_MAP_TYPE_CPUMAP, 4, 4, 4});
  per_cpu(t, "percpu_array", {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 4, 4});
  per_cpu(t, "percpu_hash", {BPF_MAP_TYPE_PERCPU_HASH, 4, 4, 4});
  per_cpu(t, "lru_percpu_hash", {BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 4, 1000});
  lpm(t);
  keyless(t, "queue", BPF_MAP_TYPE_QUEUE);
  keyless(t, "stack", BPF_MAP_TYPE_STACK);
  bloom(t);
  ring(t);
}

}  // namespace transcript
