#include "bpf/surface/restore.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/log.hpp"
#include "bpf/surface/map_access.hpp"
#include "bpf/surface/prog_object.hpp"
#include "bpf/surface/prog_report.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr int kDepthMax = 64;

class Restore {
 public:
  Restore(BpfSurface::State& state, std::string directory)
      : state_(state),
        pins_(state.objects.pins()),
        store_(pins_.store()),
        directory_(std::move(directory)) {}

  void run() {
    find_paths(pins_.directory(), directory_, 0);
    const auto names = names_in(store_.directory());
    for (const auto& name : names) {
      if (name.starts_with("pin.")) restore_pin(name);
    }
    while (!unfilled_.empty()) {
      const auto map = std::move(unfilled_.back());
      unfilled_.pop_back();
      fill(map);
    }
    for (const auto& name : names) clean_up(name);
    for (const auto& [id, path] : paths_) {
      if (!known_.contains(id))
        log_warning("pins: " + path + ": not a pin of this directory, ignored");
    }
    log_info("pins: " + directory_ + ": " + std::to_string(restored_) + " restored");
  }

 private:
  // Handles by inode, to name them in messages and to tell what is foreign. Names with a dot are
  // none of ours.
  void find_paths(int directory, const std::string& path, int depth) {
    for (const auto& name : names_in(directory)) {
      struct stat status;
      if (name.find('.') != std::string::npos) continue;
      if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
      const std::string below = path + "/" + name;
      if (!S_ISDIR(status.st_mode)) {
        paths_.emplace(file_id(status), below);
      } else if (depth < kDepthMax) {
        const UniqueFd next(
            ::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        if (next) find_paths(next.get(), below, depth + 1);
      }
    }
  }

  // "pin.bpf-map.ID.NUMBER"
  void restore_pin(const std::string& name) {
    struct stat status;
    if (::fstatat(store_.directory(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (status.st_nlink < 2) return;  // its last name went while no daemon ran: cleaned up
    const FileId id = file_id(status);
    known_.insert(id);
    const auto path = paths_.find(id);
    const std::string where = path == paths_.end() ? name : path->second;
    const auto object = load(name.substr(4, name.rfind('.') - 4));
    if (!object) return give_up(name, where, object.error());
    if (const int error = pins_.restore(name, *object); error != 0) {
      return give_up(name, where, errno_error(-error, "watch"));
    }
    used_.insert(name);
    restored_++;
  }

  void give_up(const std::string& pin, const std::string& where, const Error& error) {
    log_warning("pins: " + where + ": " + error.text + ": set aside in " + directory_ +
                "/.store/damaged");
    store_.set_aside(pin);
  }

  // Each record once, with those it refers to. A record that fails takes its memory with it.
  Result<ObjectRef> load(const std::string& record) {
    if (const auto done = loaded_.find(record); done != loaded_.end()) return done->second;
    // A name in a record leads to that record alone, never to another's memory or out of the store.
    const std::string kind = record.substr(0, record.find('.'));
    if (record != record_name(kind.c_str(), record_number(record)))
      return fail(EBADMSG, "not the name of a record");
    auto object = record.starts_with("bpf-map.")    ? load_map(record)
                  : record.starts_with("bpf-prog.") ? load_program(record)
                  : record.starts_with("btf.")      ? load_btf(record)
                  : record.starts_with("bpf-link.")
                      ? load_link(record)
                      : Result<ObjectRef>(fail(EBADMSG, record + ": of no known kind"));
    if (object) {
      used_.insert(record);
    } else {
      store_.set_aside(record);
    }
    loaded_.emplace(record, object);
    return object;
  }

  template <class Object>
  Result<std::shared_ptr<Object>> load_as(const std::string& record) {
    auto object = load(record);
    if (!object) return fail(std::move(object.error()));
    const auto* wanted = std::get_if<std::shared_ptr<Object>>(&*object);
    if (wanted == nullptr) return fail(EBADMSG, record + ": not what refers to it says");
    return *wanted;
  }

  Status load_btf_of(const std::string& record, std::shared_ptr<BtfObject>* btf) {
    if (record.empty()) return {};
    auto loaded = load_as<BtfObject>(record);
    if (!loaded) return fail(std::move(loaded.error()));
    *btf = std::move(*loaded);
    return {};
  }

  Result<ObjectRef> load_btf(const std::string& name) {
    auto record = store_.read_btf(name);
    if (!record) return fail(std::move(record.error()));
    auto btf = std::make_shared<BtfObject>();
    btf->uid = record->uid;
    btf->name = std::move(record->name);
    btf->blob = std::move(record->blob);
    store_.adopt(btf, name);
    state_.objects.add(btf);
    return btf;
  }

  Result<ObjectRef> load_map(const std::string& name) {
    auto record = store_.read_map(name);
    if (!record) return fail(std::move(record.error()));
    MapSpec& spec = record->spec;
    if (is_per_cpu(spec.type) && spec.slots != state_.map_slots) {
      return fail(EBADMSG, name + ": made for " + std::to_string(spec.slots) +
                               " possible CPUs, the host has " + std::to_string(state_.map_slots));
    }
    if (record->has_inner) {
      auto inner = Map::create(record->inner);
      if (!inner) return fail(std::move(inner.error()));
      spec.inner = std::move(*inner);
    }
    auto object = std::make_shared<MapObject>();
    if (Status btf = load_btf_of(record->btf, &object->btf); !btf)
      return fail(std::move(btf.error()));
    spec.grace = state_.options.grace;
    spec.store = store_.old_map_store(name);
    auto map = Map::create(spec);
    if (!map) {
      spec.store->keep();
      return fail(std::move(map.error()));
    }
    if (!spec.store->used()) {
      log_warning("pins: map " + spec.name +
                  ": contents of its type are not kept, it is empty again");
    }
    object->map = std::move(*map);
    object->uid = record->uid;
    object->frozen.store(record->frozen);
    store_.adopt(object, name);
    state_.objects.add(object);
    if (object->map->kept_references() != nullptr) unfilled_.push_back(object);
    return object;
  }

  Result<ObjectRef> load_program(const std::string& name) {
    auto record = store_.read_program(name);
    if (!record) return fail(std::move(record.error()));
    ProgSpec spec;
    spec.name = std::move(record->name);
    spec.type = record->type;
    spec.flags = record->flags;
    spec.expected_attach_type = record->expected_attach_type;
    spec.licence = std::move(record->licence);
    spec.insns = spec.resolved = std::move(record->insns);
    spec.func_info = std::move(record->func_info);
    spec.line_info = std::move(record->line_info);
    for (const auto& map : record->maps) {
      auto loaded = load_as<MapObject>(map);
      if (!loaded) return fail(std::move(loaded.error()));
      spec.maps.push_back(std::move(*loaded));
    }
    if (Status btf = load_btf_of(record->btf, &spec.btf); !btf) return fail(std::move(btf.error()));
    auto program = verify_again(record->uid, std::move(spec));
    if (!program) return fail(std::move(program.error()));
    (*program)->tag = std::bit_cast<Tag>(record->tag);
    store_.adopt(*program, name);
    return *program;
  }

  // The elements of a prog_array or map-in-map. What they refer to may be such a map too, or use
  // it: so after all else.
  void fill(const std::shared_ptr<MapObject>& object) {
    Map& map = *object->map;
    Map& kept = *map.kept_references();
    if (map.spec().type == BPF_MAP_TYPE_PROG_ARRAY) state_.restored.push_back(use_map(object));
    std::vector<std::vector<uint8_t>> keys;
    std::vector<uint8_t> key(map.spec().key_size);
    while (kept.next_key(keys.empty() ? nullptr : keys.back().data(), key.data()) == 0)
      keys.push_back(key);
    for (const auto& each : keys) {
      uint64_t record = 0;
      (void)kept.lookup(each.data(), &record);
      if (Status referred = refer(map, each.data(), record); !referred) {
        log_warning("pins: map " + map.spec().name + ": " + referred.error().text +
                    ": the element is gone");
        (void)kept.erase(each.data());
      }
    }
  }

  Status refer(Map& map, const void* key, uint64_t record) {
    const bool to_program = reference_kind(map.spec().type) == ReferenceKind::program;
    return to_program ? refer_as<ProgramObject>(map, key, record_name("bpf-prog", record))
                      : refer_as<MapObject>(map, key, record_name("bpf-map", record));
  }

  template <class Object>
  Status refer_as(Map& map, const void* key, const std::string& record) {
    auto object = load_as<Object>(record);
    if (!object) return fail(std::move(object.error()));
    MapReference reference;
    int error = refer_to(state_, {}, std::move(*object), &reference);
    if (error == 0) error = map.set_reference(key, reference, BPF_ANY);
    if (error != 0) return fail(errno_error(-error, record));
    return {};
  }

  // Without a port: the data plane is not there yet (attach_pinned).
  Result<ObjectRef> load_link(const std::string& name) {
    auto record = store_.read_link(name);
    if (!record) return fail(std::move(record.error()));
    auto program = load_as<ProgramObject>(record->program);
    if (!program) return fail(std::move(program.error()));
    auto attachment = std::make_shared<Attachment>();
    attachment->attach_type = record->attach_type;
    attachment->port = std::move(record->port);
    attachment->program = std::move(*program);
    auto link = std::make_shared<LinkObject>();
    link->uid = record->uid;
    link->attach_type = record->attach_type;
    link->sequence = record->sequence;
    link->attachment = attachment;
    state_.attachments.tie(*link);
    state_.links_created = std::max(state_.links_created.load(), record->sequence);
    store_.adopt(link, name);
    state_.objects.add(link);
    attachment->link_id = link->id;
    return link;
  }

  // Nothing unverified runs, wherever it comes from.
  Result<std::shared_ptr<ProgramObject>> verify_again(uid_t uid, ProgSpec spec) {
    const bool gpl_compatible = is_gpl_compatible(spec.licence);
    if (state_.options.licence == LicencePolicy::gpl_only && !gpl_compatible) {
      return fail(EINVAL, "program " + spec.name + ": licence \"" + spec.licence +
                              "\" under policy gpl_only");
    }
    VerifierInput input = verifier_input(spec, gpl_compatible, 1, state_.map_slots);
    input.hardening = hardening_for(state_.options.jit_harden, uid);
    VerifierResult result = verify(input);
    if (result.program == nullptr) {
      return fail(describe_rejection(spec, gpl_compatible, result).error);
    }
    if (!claim_tail_calls(spec))
      return fail(EINVAL, "program " + spec.name + ": a prog_array is for another type");
    auto program = make_program(uid, std::move(spec), std::move(result));
    admit_to_maps(*program->annotated);
    if (!state_.objects.add(program, state_.options.max_programs))
      return fail(ENOSPC, "too many programs");
    return program;
  }

  // What no pin needs: objects that were never pinned, half-written records, pins without a name.
  void clean_up(const std::string& name) {
    const size_t dot = name.find('.', name.find('.') + 1);
    if (used_.contains(name) || used_.contains(name.substr(0, dot)) || name == "damaged") return;
    const bool ours = name.starts_with("bpf-map.") || name.starts_with("bpf-prog.") ||
                      name.starts_with("btf.") || name.starts_with("bpf-link.") ||
                      name.starts_with("pin.") || name.starts_with("tmp.");
    if (ours) return store_.unlink(name);
    log_warning("pins: " + directory_ + "/.store/" + name + ": not a file of the store: set aside");
    store_.set_aside(name);
  }

  BpfSurface::State& state_;
  PinTable& pins_;
  ObjectStore& store_;
  const std::string directory_;
  std::unordered_map<FileId, std::string, FileIdHash> paths_;
  std::unordered_set<FileId, FileIdHash> known_;
  std::map<std::string, Result<ObjectRef>> loaded_;
  std::set<std::string> used_;  // names in the store that live on
  std::vector<std::shared_ptr<MapObject>> unfilled_;  // here, but their elements not yet
  size_t restored_ = 0;
};

}  // namespace

Status restore_pins(BpfSurface::State& state, const std::string& directory) {
  if (Status opened = state.objects.pins().open(directory); !opened) return opened;
  Restore(state, directory).run();
  return {};
}

void attach_pinned(BpfSurface::State& state) {
  std::vector<std::shared_ptr<LinkObject>> links;
  for (auto link = state.objects.link_after(0); link != nullptr;
       link = state.objects.link_after(link->id)) {
    if (link->record != nullptr && !link->attachment->port.empty()) links.push_back(link);
  }
  // Their ids are in the order of their pins' names.
  std::ranges::sort(links, {}, [](const auto& link) { return link->sequence.load(); });
  for (const auto& link : links) {
    const int error = state.attachments.add_again(link->attachment);
    if (error == 0) continue;
    const std::string why = error == -ENODEV
                                ? "is not there"
                                : "does not take it: " + std::string(std::strerror(-error));
    log_warning("pins: link " + std::to_string(link->id) + " of program " +
                link->attachment->program->name + ": port " + link->attachment->port + " " + why +
                ": inactive");
  }
  state.restored.clear();
}

}  // namespace sluice::bpf::surface
