// Files that hold a map's memory, so that it is there again after the process's end, whatever that
// was: mapped shared, written by plain stores, in an order in which every state that a kill can
// leave is a whole one. Lives in a directory that only the daemon's user enters. A map made with a
// store asks it for its memory part by part; one that is opened again finds the parts as they were
// left and puts in order what a writer had begun (hash_recover.hpp, redo_slot.hpp). Control
// threads.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "bpf/maps/map.hpp"
#include "bpf/maps/map_memory.hpp"

namespace sluice::bpf {

struct StoreDirectory {
  UniqueFd fd;
  std::atomic<bool> leaving{false};  // the daemon ends: what it has stays for the next
};

class MapStore {
 public:
  // The files are called STEM.PART. `fresh`: they are made now; else they must be there.
  MapStore(std::shared_ptr<StoreDirectory> directory, std::string stem, bool fresh);
  // Removes the files, unless the daemon is leaving or they were not its own to begin with (keep).
  ~MapStore();
  MapStore(const MapStore&) = delete;
  MapStore& operator=(const MapStore&) = delete;

  // The memory of that name, zeros in a fresh store. `reserve`: take the space now (ENOSPC), not
  // under a packet. errors: ENOENT, EBADMSG (a file of another size), ENOSPC, ENOMEM.
  Result<MapMemory> part(const std::string& name, uint64_t bytes, bool reserve);

  // A part that is made later than the map, or never; it has another size where another machine
  // made it.
  [[nodiscard]] bool has(const std::string& name) const;
  // As it is, else made with so many bytes. What there is is reserved.
  Result<MapMemory> late_part(const std::string& name, uint64_t bytes);

  [[nodiscard]] bool fresh() const { return fresh_; }
  // False: the type keeps nothing here, and comes back empty.
  [[nodiscard]] bool used() const { return !parts_.empty(); }
  [[nodiscard]] const std::string& stem() const { return stem_; }
  // What ends from now on stays for the next daemon.
  [[nodiscard]] bool leaving() const { return directory_->leaving.load(); }
  // The map does not come back: its files are somebody else's to judge.
  void keep() { keep_ = true; }

 private:
  std::shared_ptr<StoreDirectory> directory_;
  std::string stem_;
  bool fresh_;
  bool keep_ = false;
  std::vector<std::string> parts_;
};

// The map's memory is as another process left it.
[[nodiscard]] inline bool reopened(const MapSpec& spec) {
  return spec.store != nullptr && !spec.store->fresh();
}

}  // namespace sluice::bpf
