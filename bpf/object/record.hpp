// Records: the small files of the store that say what an object is. Written whole or not at all,
// checked by a digest when read. One function per record lists its fields, for writing and for
// reading alike. Control threads.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "base/result.hpp"
#include "bpf/maps/map_store.hpp"

namespace sluice::bpf {

using Bytes = std::vector<uint8_t>;

class RecordWriter {
 public:
  template <class Field>
  void operator()(const Field& field) {
    static_assert(std::is_arithmetic_v<Field>);
    append(&field, sizeof field);
  }
  void operator()(const std::string& text) {
    (*this)(static_cast<uint64_t>(text.size()));
    append(text.data(), text.size());
  }
  template <class Element>
  void operator()(const std::vector<Element>& elements) {
    (*this)(static_cast<uint64_t>(elements.size()));
    if constexpr (std::is_trivially_copyable_v<Element>) {
      append(elements.data(), elements.size() * sizeof(Element));
    } else {
      for (const auto& element : elements) (*this)(element);
    }
  }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }

 private:
  void append(const void* from, size_t size) {
    const auto* at = static_cast<const uint8_t*>(from);
    bytes_.insert(bytes_.end(), at, at + size);
  }
  Bytes bytes_;
};

// Reads what the writer wrote. Past the end everything is zero and good() false.
class RecordReader {
 public:
  explicit RecordReader(const Bytes& bytes) : bytes_(bytes) {}

  template <class Field>
  void operator()(Field& field) {
    static_assert(std::is_arithmetic_v<Field>);
    take(&field, sizeof field);
  }
  void operator()(std::string& text) {
    text.resize(count_of(1));
    take(text.data(), text.size());
  }
  template <class Element>
  void operator()(std::vector<Element>& elements) {
    if constexpr (std::is_trivially_copyable_v<Element>) {
      elements.resize(count_of(sizeof(Element)));
      take(elements.data(), elements.size() * sizeof(Element));
    } else {
      elements.resize(count_of(sizeof(uint64_t)));
      for (auto& element : elements) (*this)(element);
    }
  }
  // Everything was there, and nothing is left.
  [[nodiscard]] bool good() const { return good_ && at_ == bytes_.size(); }

 private:
  // No more elements than the rest has bytes for.
  size_t count_of(size_t element_size) {
    uint64_t count = 0;
    (*this)(count);
    if (count <= (bytes_.size() - at_) / element_size) return count;
    good_ = false;
    return 0;
  }
  void take(void* to, size_t size) {
    if (size == 0) return;
    good_ = good_ && size <= bytes_.size() - at_;
    if (!good_) {
      std::memset(to, 0, size);
      return;
    }
    std::memcpy(to, bytes_.data() + at_, size);
    at_ += size;
  }
  const Bytes& bytes_;
  size_t at_ = 0;
  bool good_ = true;
};

// The file of that name becomes the record, by rename: at no moment is there half of it.
Status write_record(int directory, const std::string& name, const Bytes& bytes);
// ENOENT; EBADMSG: not a record, of another version, cut, or changed.
Result<Bytes> read_record(int directory, const std::string& name);

// A record's file, as long as its object lives; it stays when the daemon leaves.
class RecordFile {
 public:
  RecordFile(std::shared_ptr<StoreDirectory> directory, std::string name)
      : directory_(std::move(directory)), name_(std::move(name)) {}
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::shared_ptr<StoreDirectory> directory_;
  std::string name_;
};

}  // namespace sluice::bpf
