// Type information is the user's: whatever it holds is read without harm.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bpf/verifier/subprogram_info.hpp"

namespace sluice::bpf {
namespace {

constexpr std::string_view kCtxNames[] = {"__sk_buff"};

// int; struct __sk_buff; pointer to it; array [4] of int; pointer to that; int f(__sk_buff *, int
// *[4] , int).
std::vector<uint8_t> blob() {
  const std::string strings = std::string("\0int\0__sk_buff\0f\0a\0", 19);
  auto info = [](uint32_t kind, uint32_t vlen) { return kind << 24 | vlen; };
  const std::vector<uint32_t> types = {
      1,  info(BTF_KIND_INT, 0),        4, BTF_INT_SIGNED << 24 | 32,  // 1
      5,  info(BTF_KIND_STRUCT, 0),     4,                             // 2
      0,  info(BTF_KIND_PTR, 0),        2,                             // 3
      0,  info(BTF_KIND_ARRAY, 0),      0, 1, 1, 4,                    // 4
      0,  info(BTF_KIND_PTR, 0),        4,                             // 5
      0,  info(BTF_KIND_FUNC_PROTO, 3), 1, 17, 3, 17, 5, 17, 1,        // 6
      15, info(BTF_KIND_FUNC, BTF_FUNC_GLOBAL), 6,                     // 7
  };
  btf_header header{};
  header.magic = BTF_MAGIC;
  header.version = BTF_VERSION;
  header.hdr_len = sizeof header;
  header.type_len = static_cast<uint32_t>(types.size() * 4);
  header.str_off = header.type_len;
  header.str_len = static_cast<uint32_t>(strings.size());
  std::vector<uint8_t> out(sizeof header + header.type_len + header.str_len);
  std::memcpy(out.data(), &header, sizeof header);
  std::memcpy(out.data() + sizeof header, types.data(), header.type_len);
  std::memcpy(out.data() + sizeof header + header.type_len, strings.data(), strings.size());
  return out;
}

TEST(Btf, AGlobalSubprogramsArgumentsAreWhatItsTypeSays) {
  const auto bytes = blob();
  const SubprogramInfo info = subprogram_info(BtfTypes(bytes), 7, kCtxNames);
  EXPECT_EQ(info.fault, "");
  EXPECT_EQ(info.name, "f");
  EXPECT_TRUE(info.global);
  ASSERT_EQ(info.arguments.size(), 3u);
  EXPECT_EQ(info.arguments[0].kind, GlobalArgument::Kind::ctx);
  EXPECT_EQ(info.arguments[1].kind, GlobalArgument::Kind::memory);
  EXPECT_EQ(info.arguments[1].size, 16u);
  EXPECT_EQ(info.arguments[2].kind, GlobalArgument::Kind::number);
}

TEST(Btf, ADamagedBlobIsReadWithoutHarm) {
  const auto whole = blob();
  size_t sound = 0;
  for (size_t at = 0; at < whole.size(); at++) {
    for (const uint8_t value : {0, 1, 7, 0x7f, 0xff}) {
      // on the heap, so that ASan sees a step too far
      auto bytes = std::make_unique<std::vector<uint8_t>>(whole);
      (*bytes)[at] = value;
      const BtfTypes types(*bytes);
      for (uint32_t id = 0; id <= types.count() + 1; id++) {
        sound += subprogram_info(types, id, kCtxNames).fault.empty() ? 1 : 0;
      }
    }
    const BtfTypes cut(std::span<const uint8_t>(whole.data(), at));
    for (uint32_t id = 0; id <= cut.count() + 1; id++) {
      EXPECT_NE(subprogram_info(cut, id, kCtxNames).fault, "") << "cut at " << at;
    }
  }
  EXPECT_GT(sound, whole.size());
}

}  // namespace
}  // namespace sluice::bpf
