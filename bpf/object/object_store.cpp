#include "bpf/object/object_store.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>

namespace sluice::bpf {
namespace {

// One list of fields a record, for RecordWriter and RecordReader.
template <class Archive, class Spec>
void spec_fields(Archive& archive, Spec& spec) {
  archive(spec.name), archive(spec.type), archive(spec.key_size), archive(spec.value_size),
      archive(spec.max_entries);
  archive(spec.flags), archive(spec.slots), archive(spec.btf_key_type_id),
      archive(spec.btf_value_type_id);
  archive(spec.extra), archive(spec.spin_lock_offset);
}

template <class Archive, class Record>
void map_fields(Archive& archive, Record& record) {
  spec_fields(archive, record.spec);
  archive(record.has_inner);
  spec_fields(archive, record.inner);
  archive(record.uid), archive(record.frozen), archive(record.btf);
}

template <class Archive, class Record>
void program_fields(Archive& archive, Record& record) {
  archive(record.uid), archive(record.type), archive(record.expected_attach_type),
      archive(record.flags);
  archive(record.tag);
  archive(record.name), archive(record.licence), archive(record.insns), archive(record.maps),
      archive(record.btf);
  archive(record.func_info), archive(record.line_info);
}

template <class Archive, class Record>
void link_fields(Archive& archive, Record& record) {
  archive(record.uid), archive(record.attach_type), archive(record.sequence);
  archive(record.program), archive(record.port);
}

template <class Archive, class Record>
void btf_fields(Archive& archive, Record& record) {
  archive(record.uid), archive(record.name), archive(record.blob);
}

template <class Record>
Result<Record> read_as(int directory, const std::string& name,
                       void (*fields)(RecordReader&, Record&)) {
  auto bytes = read_record(directory, name);
  if (!bytes) return fail(std::move(bytes.error()));
  RecordReader reader(*bytes);
  Record record;
  fields(reader, record);
  if (!reader.good()) return fail(EBADMSG, name + ": it is a record of something else");
  return record;
}

bool link_file(int file, int directory, const std::string& name) {
  const std::string self = "/proc/self/fd/" + std::to_string(file);
  return ::linkat(AT_FDCWD, self.c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

// The same file by our own mount: link(2) wants it, and that of a client in another mount namespace
// is not. Needs CAP_DAC_READ_SEARCH.
UniqueFd through_mount_of(int directory, int file) {
  union {
    file_handle handle;
    char room[sizeof(file_handle) + MAX_HANDLE_SZ];
  };
  handle.handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  if (::name_to_handle_at(file, "", &handle, &mount, AT_EMPTY_PATH) != 0) return {};
  return UniqueFd(::open_by_handle_at(directory, &handle, O_PATH | O_CLOEXEC));
}

}  // namespace

std::string record_name(const char* kind, uint64_t number) {
  char name[64];
  std::snprintf(name, sizeof name, "%s.%016llx", kind, static_cast<unsigned long long>(number));
  return name;
}

uint64_t record_number(const std::string& name) {
  return std::strtoull(name.c_str() + name.find('.') + 1, nullptr, 16);
}

std::string random_name(const char* kind) {
  uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) return {};
  return record_name(kind, random);
}

std::vector<std::string> names_in(int directory) {
  std::vector<std::string> names;
  const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
  if (stream == nullptr) return names;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::unique_ptr<ObjectStore>> ObjectStore::open(int pins) {
  if (::mkdirat(pins, ".store", 0700) != 0 && errno != EEXIST)
    return fail(errno_error(errno, "make .store"));
  auto directory = std::make_shared<StoreDirectory>();
  directory->fd.reset(::openat(pins, ".store", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!directory->fd) return fail(errno_error(errno, "open .store"));
  if (::flock(directory->fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(EBUSY, "another daemon uses this directory");
  if (::fchmod(directory->fd.get(), 0700) != 0) return fail(errno_error(errno, "chmod .store"));
  return std::unique_ptr<ObjectStore>(new ObjectStore(std::move(directory)));
}

ObjectStore::~ObjectStore() { leave(); }

std::shared_ptr<MapStore> ObjectStore::new_map_store() {
  return std::make_shared<MapStore>(directory_, random_name("bpf-map"), true);
}

std::shared_ptr<MapStore> ObjectStore::old_map_store(const std::string& name) {
  return std::make_shared<MapStore>(directory_, name, false);
}

Result<std::string> ObjectStore::save(const ObjectRef& object, bool again) {
  std::lock_guard guard(lock_);
  return save_unlocked(object, again);
}

bool ObjectStore::has(const ObjectRef& object) {
  std::lock_guard guard(lock_);
  return std::visit(
      [](const auto& each) {
        if constexpr (requires { each->record; }) return each->record != nullptr;
        return false;
      },
      object);
}

Result<std::string> ObjectStore::save_unlocked(const ObjectRef& object, bool again) {
  if (const auto* map = std::get_if<std::shared_ptr<MapObject>>(&object))
    return save_map(*map, again);
  if (const auto* program = std::get_if<std::shared_ptr<ProgramObject>>(&object))
    return save_program(*program, again);
  if (const auto* btf = std::get_if<std::shared_ptr<BtfObject>>(&object)) return save_btf(*btf);
  if (const auto* link = std::get_if<std::shared_ptr<LinkObject>>(&object))
    return save_link(*link, again);
  return fail(EOPNOTSUPP, "this kind of object is not kept");
}

Result<std::string> ObjectStore::save_btf(const std::shared_ptr<BtfObject>& btf) {
  if (btf->record != nullptr) return btf->record->name();
  const BtfRecord record{btf->uid, btf->name, btf->blob};
  RecordWriter writer;
  btf_fields(writer, record);
  const std::string name = random_name("btf");
  if (Status written = write_record(directory(), name, writer.bytes()); !written) {
    return fail(std::move(written.error()));
  }
  adopt(btf, name);
  return name;
}

Result<std::string> ObjectStore::save_map(const std::shared_ptr<MapObject>& map, bool again) {
  if (map->record != nullptr && !again) return map->record->name();
  const MapSpec& spec = map->map->spec();
  if (spec.store == nullptr) return fail(EOPNOTSUPP, "the map was made without a store");
  MapRecord record{.spec = spec, .uid = map->uid, .frozen = map->frozen.load()};
  if (spec.inner != nullptr) {
    record.has_inner = true;
    record.inner = spec.inner->spec();
  }
  if (map->btf != nullptr) {
    auto btf = save_btf(map->btf);
    if (!btf) return btf;
    record.btf = std::move(*btf);
  }
  RecordWriter writer;
  map_fields(writer, record);
  const std::string name = spec.store->stem();
  if (Status written = write_record(directory(), name, writer.bytes()); !written) {
    return fail(std::move(written.error()));
  }
  if (map->record == nullptr) adopt(map, name);
  return name;
}

Result<std::string> ObjectStore::save_program(const std::shared_ptr<ProgramObject>& program,
                                              bool again) {
  if (program->record != nullptr && !again) return program->record->name();
  ProgramRecord record{.uid = program->uid,
                       .type = program->type,
                       .expected_attach_type = program->expected_attach_type,
                       .flags = program->flags,
                       .tag = std::bit_cast<uint64_t>(program->tag),
                       .name = program->name,
                       .licence = program->licence,
                       .insns = program->source,
                       .maps = {},
                       .btf = {},
                       .func_info = program->source_func_info,
                       .line_info = program->source_line_info};
  for (const auto& map : program->used_maps()) {
    auto name = save_map(map, false);
    if (!name) return name;
    record.maps.push_back(std::move(*name));
  }
  if (program->btf != nullptr) {
    auto name = save_btf(program->btf);
    if (!name) return name;
    record.btf = std::move(*name);
  }
  RecordWriter writer;
  program_fields(writer, record);
  const std::string name =
      program->record != nullptr ? program->record->name() : random_name("bpf-prog");
  if (Status written = write_record(directory(), name, writer.bytes()); !written) {
    return fail(std::move(written.error()));
  }
  if (program->record == nullptr) adopt(program, name);
  return name;
}

Result<std::string> ObjectStore::save_link(const std::shared_ptr<LinkObject>& link, bool again) {
  if (link->record != nullptr && !again) return link->record->name();
  // Kept beside the configuration, it would stand in its way at the next start.
  if (!link->target) return fail(EPERM, "the link is the configuration's");
  const LinkTarget target = link->target();
  auto program = save_program(target.program, false);
  if (!program) return program;
  const LinkRecord record{link->uid, link->attach_type, link->sequence, std::move(*program),
                          target.port};
  RecordWriter writer;
  link_fields(writer, record);
  const std::string name = link->record != nullptr ? link->record->name() : random_name("bpf-link");
  if (Status written = write_record(directory(), name, writer.bytes()); !written) {
    return fail(std::move(written.error()));
  }
  if (link->record == nullptr) adopt(link, name);
  return name;
}

Result<MapRecord> ObjectStore::read_map(const std::string& name) {
  return read_as<MapRecord>(directory(), name, map_fields<RecordReader, MapRecord>);
}
Result<ProgramRecord> ObjectStore::read_program(const std::string& name) {
  return read_as<ProgramRecord>(directory(), name, program_fields<RecordReader, ProgramRecord>);
}
Result<LinkRecord> ObjectStore::read_link(const std::string& name) {
  return read_as<LinkRecord>(directory(), name, link_fields<RecordReader, LinkRecord>);
}
Result<BtfRecord> ObjectStore::read_btf(const std::string& name) {
  return read_as<BtfRecord>(directory(), name, btf_fields<RecordReader, BtfRecord>);
}

int ObjectStore::link_pin(int file, const std::string& record, std::string* pin) {
  *pin = "pin." + record + random_name("").substr(0, 9);
  if (link_file(file, directory(), *pin)) return 0;
  if (errno != EXDEV) return -errno;
  const UniqueFd here = through_mount_of(directory(), file);
  return here && link_file(here.get(), directory(), *pin) ? 0 : -EXDEV;
}

void ObjectStore::unlink(const std::string& name) { ::unlinkat(directory(), name.c_str(), 0); }

void ObjectStore::set_aside(const std::string& name) {
  ::mkdirat(directory(), "damaged", 0700);
  for (const auto& file : names_in(directory())) {
    if (file != name && !file.starts_with(name + ".")) continue;
    ::renameat(directory(), file.c_str(), directory(), ("damaged/" + file).c_str());
  }
}

}  // namespace sluice::bpf
