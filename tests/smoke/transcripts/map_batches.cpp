// The four batch commands, and MAP_FREEZE.
#include <algorithm>

#include "tests/smoke/transcripts/transcript.hpp"

namespace transcript {
namespace {

struct Batch {
  uint64_t in = 0;  // cursor
  uint64_t out = 0;
  std::vector<uint32_t> keys;
  std::vector<uint32_t> values;
  uint32_t count = 0;
  uint64_t elem_flags = 0;
  uint64_t flags = 0;
  bool from_start = true;
};

void run(Transcript& t, const std::string& what, int cmd, long fd, Batch& batch) {
  Attr attr;
  attr->batch.map_fd = static_cast<uint32_t>(fd);
  attr->batch.keys = address(batch.keys.data());
  attr->batch.values = address(batch.values.data());
  attr->batch.count = batch.count;
  attr->batch.elem_flags = batch.elem_flags;
  attr->batch.flags = batch.flags;
  const bool reads = cmd == BPF_MAP_LOOKUP_BATCH || cmd == BPF_MAP_LOOKUP_AND_DELETE_BATCH;
  if (reads) {
    attr->batch.in_batch = batch.from_start ? 0 : address(&batch.in);
    attr->batch.out_batch = address(&batch.out);
  }
  t.say(what, cmd, attr);
  batch.count = attr->batch.count;
  t.number("  count", batch.count);
}

void show(Transcript& t, const Batch& batch) {
  std::vector<std::pair<uint32_t, uint32_t>> pairs;
  for (uint32_t i = 0; i < batch.count && i < batch.keys.size(); i++) {
    pairs.emplace_back(batch.keys[i], batch.values[i]);
  }
  std::sort(pairs.begin(), pairs.end());
  for (const auto& [key, value] : pairs)
    t.line("  " + std::to_string(key) + ": " + std::to_string(value));
}

Batch filled(uint32_t count) {
  Batch batch;
  for (uint32_t i = 0; i < count; i++) {
    batch.keys.push_back(i);
    batch.values.push_back(100 + i);
  }
  batch.count = count;
  return batch;
}

void rules(Transcript& t, const char* name, const Shape& shape) {
  t.line(std::string("-- ") + name);
  const long fd = t.create(shape);
  if (fd < 0) return t.line("create = " + result_text(BPF_MAP_CREATE, fd));
  Batch batch = filled(4);
  run(t, "update 4", BPF_MAP_UPDATE_BATCH, fd, batch);
  batch = filled(0);
  run(t, "update none", BPF_MAP_UPDATE_BATCH, fd, batch);
  batch = filled(2);
  batch.elem_flags = BPF_NOEXIST;
  run(t, "update NOEXIST", BPF_MAP_UPDATE_BATCH, fd, batch);
  batch = filled(2);
  batch.elem_flags = BPF_F_LOCK;
  run(t, "update LOCK", BPF_MAP_UPDATE_BATCH, fd, batch);
  batch = filled(2);
  batch.flags = 1;
  run(t, "update, flags 1", BPF_MAP_UPDATE_BATCH, fd, batch);
  batch = filled(16);
  run(t, "update 16, too many", BPF_MAP_UPDATE_BATCH, fd, batch);
  batch = filled(16);
  run(t, "lookup from the start", BPF_MAP_LOOKUP_BATCH, fd, batch);
  show(t, batch);
  batch = filled(0);
  run(t, "lookup none", BPF_MAP_LOOKUP_BATCH, fd, batch);
  batch = filled(16);
  batch.elem_flags = BPF_EXIST;
  run(t, "lookup, elem_flags EXIST", BPF_MAP_LOOKUP_BATCH, fd, batch);
  batch = filled(16);
  batch.flags = 1;
  run(t, "lookup, flags 1", BPF_MAP_LOOKUP_BATCH, fd, batch);
  batch = filled(16);
  batch.in = uint64_t{1} << 31;
  batch.from_start = false;
  run(t, "lookup from beyond the end", BPF_MAP_LOOKUP_BATCH, fd, batch);
  batch = filled(3);
  batch.keys[1] = 77;
  run(t, "delete 0, 77, 2", BPF_MAP_DELETE_BATCH, fd, batch);
  t.keys("keys", fd);
  batch = filled(16);
  run(t, "lookup and delete", BPF_MAP_LOOKUP_AND_DELETE_BATCH, fd, batch);
  show(t, batch);
  t.keys("keys", fd);
}

void addresses(Transcript& t) {
  t.line("-- addresses");
  const long fd = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 4});
  Batch batch = filled(4);
  Attr attr;
  attr->batch.map_fd = static_cast<uint32_t>(fd);
  attr->batch.count = 4;
  t.say("update without keys", BPF_MAP_UPDATE_BATCH, attr);
  t.number("  count", attr->batch.count);
  attr->batch.keys = address(batch.keys.data());
  attr->batch.count = 4;
  t.say("update without values", BPF_MAP_UPDATE_BATCH, attr);
  t.number("  count", attr->batch.count);
  attr->batch.count = 4;
  t.say("lookup without values", BPF_MAP_LOOKUP_BATCH, attr);
  t.number("  count", attr->batch.count);
  attr->batch.values = address(batch.values.data());
  attr->batch.count = 2;
  t.say("lookup without out_batch", BPF_MAP_LOOKUP_BATCH, attr);
  attr->batch.map_fd = 9999;
  t.say("closed descriptor", BPF_MAP_LOOKUP_BATCH, attr);
  attr->batch.map_fd = 1;
  t.say("no map", BPF_MAP_LOOKUP_BATCH, attr);
}

// All of 100 elements in pieces; their order is each system's own.
void pieces(Transcript& t, const char* name, const Shape& shape) {
  const long fd = t.create(shape);
  if (fd < 0) return t.line("create = " + result_text(BPF_MAP_CREATE, fd));
  Batch all = filled(100);
  run(t, std::string(name) + ": update 100", BPF_MAP_UPDATE_BATCH, fd, all);
  std::vector<bool> seen(100);
  Batch batch = filled(64);
  Attr attr;
  long result = 0;
  uint32_t total = 0;
  for (int round = 0; result == 0 && round < 100; round++) {
    attr = Attr();
    attr->batch.map_fd = static_cast<uint32_t>(fd);
    attr->batch.keys = address(batch.keys.data());
    attr->batch.values = address(batch.values.data());
    attr->batch.in_batch = round == 0 ? 0 : address(&batch.in);
    attr->batch.out_batch = address(&batch.out);
    attr->batch.count = 64;
    result = t.call(BPF_MAP_LOOKUP_BATCH, attr);
    batch.in = batch.out;
    total += attr->batch.count;
    for (uint32_t i = 0; i < attr->batch.count; i++)
      seen[batch.keys[i]] = batch.values[i] == batch.keys[i] + 100;
  }
  t.line(std::string(name) + ": lookups end with " + result_text(BPF_MAP_LOOKUP_BATCH, result));
  t.number("  elements", total);
  t.line(std::find(seen.begin(), seen.end(), false) == seen.end() ? "  all of them" : "  not all");
}

}  // namespace

void map_batches(Transcript& t) {
  rules(t, "hash", {BPF_MAP_TYPE_HASH, 4, 4, 8});
  rules(t, "array", {BPF_MAP_TYPE_ARRAY, 4, 4, 8});
  rules(t, "lru_hash", {BPF_MAP_TYPE_LRU_HASH, 4, 4, 1000});
  rules(t, "queue", {BPF_MAP_TYPE_QUEUE, 0, 4, 8});
  rules(t, "prog_array", {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 8});
  addresses(t);
  pieces(t, "hash", {BPF_MAP_TYPE_HASH, 4, 4, 100});
  pieces(t, "array", {BPF_MAP_TYPE_ARRAY, 4, 4, 100});
}

void map_freezing(Transcript& t) {
  const long fd = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 4});
  Attr attr;
  attr->map_fd = 9999;
  t.say("freeze a closed descriptor", BPF_MAP_FREEZE, attr);
  attr->map_fd = 1;
  t.say("freeze no map", BPF_MAP_FREEZE, attr);
  attr->map_fd = static_cast<uint32_t>(fd);
  t.update("update", fd, 0, 5);
  t.say("freeze", BPF_MAP_FREEZE, attr);
  t.say("freeze again", BPF_MAP_FREEZE, attr);
  t.update("update", fd, 0, 6);
  t.lookup("lookup", fd, 0);
  t.erase("delete", fd, 0);
  uint32_t key = 0;
  uint32_t value = 0;
  t.element("lookup and delete", BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, &key, &value);
  Batch batch = filled(2);
  run(t, "update batch", BPF_MAP_UPDATE_BATCH, fd, batch);
  const long reader = t.create({BPF_MAP_TYPE_HASH, 4, 4, 4, BPF_F_RDONLY});
  const long writer = t.create({BPF_MAP_TYPE_HASH, 4, 4, 4, BPF_F_WRONLY});
  attr->map_fd = static_cast<uint32_t>(reader);
  t.say("freeze by a read-only descriptor", BPF_MAP_FREEZE, attr);
  attr->map_fd = static_cast<uint32_t>(writer);
  t.say("freeze by a write-only descriptor", BPF_MAP_FREEZE, attr);
  const long writer2 = t.create({BPF_MAP_TYPE_HASH, 4, 4, 4, BPF_F_WRONLY});
  t.update("update, read-only", reader, 0, 6);
  t.lookup("lookup, read-only", reader, 0);
  t.erase("delete, read-only", reader, 0);
  t.element("lookup and delete, read-only", BPF_MAP_LOOKUP_AND_DELETE_ELEM, reader, &key, &value);
  t.update("update, write-only", writer2, 0, 6);
  t.lookup("lookup, write-only", writer2, 0);
  t.keys("keys, write-only", writer2);
  t.element("lookup and delete, write-only", BPF_MAP_LOOKUP_AND_DELETE_ELEM, writer2, &key, &value);
  t.erase("delete, write-only", writer2, 0);
  batch = filled(2);
  run(t, "lookup batch, write-only", BPF_MAP_LOOKUP_BATCH, writer2, batch);
  batch = filled(2);
  run(t, "update batch, read-only", BPF_MAP_UPDATE_BATCH, reader, batch);
}

}  // namespace transcript
