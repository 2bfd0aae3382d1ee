// BTF by hand, for the transcripts.
#pragma once

#include <linux/btf.h>

#include <string>
#include <vector>

#include "tests/smoke/transcripts/transcript.hpp"

namespace transcript {

// Types are numbered from 1 in the order they are added; strings are kept once each.
class BtfBuilder {
 public:
  uint32_t string(const std::string& text) {
    if (text.empty()) return 0;
    strings_ += text + '\0';
    return static_cast<uint32_t>(strings_.size() - text.size() - 1);
  }
  // info = kind << 24 | vlen; what follows the type is `extra`.
  uint32_t type(uint32_t name, uint32_t kind, uint32_t vlen, uint32_t size_or_type,
                const std::vector<uint32_t>& extra = {}, bool flag = false) {
    for (const uint32_t word : {name, (flag ? 1u << 31 : 0) | kind << 24 | vlen, size_or_type})
      types_.push_back(word);
    types_.insert(types_.end(), extra.begin(), extra.end());
    return ++count_;
  }
  uint32_t integer(const std::string& name, uint32_t bytes) {
    return type(string(name), BTF_KIND_INT, 0, bytes, {bytes * 8});
  }

  [[nodiscard]] btf_header header() const {
    btf_header made{};
    made.magic = BTF_MAGIC;
    made.version = BTF_VERSION;
    made.hdr_len = sizeof made;
    made.type_len = static_cast<uint32_t>(types_.size() * 4);
    made.str_off = made.type_len;
    made.str_len = static_cast<uint32_t>(strings_.size());
    return made;
  }
  [[nodiscard]] std::string blob() const { return blob(header()); }
  [[nodiscard]] std::string blob(const btf_header& header) const {
    std::string made(reinterpret_cast<const char*>(&header), sizeof header);
    made.append(reinterpret_cast<const char*>(types_.data()), types_.size() * 4);
    return made + strings_;
  }

 private:
  std::vector<uint32_t> types_;
  std::string strings_ = std::string(1, '\0');
  uint32_t count_ = 0;
};

inline long say_btf(Transcript& t, const std::string& what, const std::string& blob) {
  Attr attr;
  attr->btf = address(blob.data());
  attr->btf_size = static_cast<uint32_t>(blob.size());
  return what.empty() ? t.call(BPF_BTF_LOAD, attr) : t.say(what, BPF_BTF_LOAD, attr);
}

// int (1); int f(void *) (3); and a string at 1.
inline constexpr uint32_t kSmallBtfFunction = 3;
inline long load_small_btf(Transcript& t) {
  BtfBuilder btf;
  btf.integer("int", 4);
  btf.type(0, BTF_KIND_FUNC_PROTO, 0, 1);
  btf.type(btf.string("f"), BTF_KIND_FUNC, BTF_FUNC_STATIC, 2);
  return say_btf(t, "", btf.blob());
}

}  // namespace transcript
