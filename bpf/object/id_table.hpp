// Ids of living objects of one kind: 1, 2, 3, ... never given twice in a process's life. Holds no
// references. The owner locks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

namespace sluice::bpf {

template <class Object>
class IdTable {
 public:
  // Gives the object the next id.
  void add(const std::shared_ptr<Object>& object) {
    if (table_.size() >= purge_at_) purge();
    object->id = ++last_id_;
    table_.emplace_hint(table_.end(), object->id, object);
  }
  [[nodiscard]] std::shared_ptr<Object> find(uint32_t id) const {
    const auto found = table_.find(id);
    return found == table_.end() ? nullptr : found->second.lock();
  }
  // The first living object with an id above `id`; null after the last.
  [[nodiscard]] std::shared_ptr<Object> after(uint32_t id) const {
    for (auto next = table_.upper_bound(id); next != table_.end(); ++next) {
      if (auto object = next->second.lock()) return object;
    }
    return nullptr;
  }
  [[nodiscard]] uint32_t alive() const {
    uint32_t count = 0;
    for (const auto& [id, object] : table_) count += object.expired() ? 0 : 1;
    return count;
  }

 private:
  // Rows of dead objects go when the table has doubled, so that each add pays a constant share.
  void purge() {
    std::erase_if(table_, [](const auto& row) { return row.second.expired(); });
    purge_at_ = table_.size() * 2 < kPurgeMin ? kPurgeMin : table_.size() * 2;
  }

  static constexpr size_t kPurgeMin = 64;
  std::map<uint32_t, std::weak_ptr<Object>> table_;
  uint32_t last_id_ = 0;
  size_t purge_at_ = kPurgeMin;
};

}  // namespace sluice::bpf
