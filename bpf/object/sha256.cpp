#include "bpf/object/sha256.hpp"

#include <bit>
#include <cstring>
#include <vector>

namespace sluice::bpf {
namespace {

using Wide = unsigned __int128;

// The standard's constants are the first 32 fractional bits of roots of the primes: computed here
// instead of typed in.
constexpr uint32_t root_fraction(uint32_t prime, int degree) {
  const Wide target = Wide{prime} << (32 * degree);
  uint64_t low = 0;
  uint64_t high = uint64_t{1} << 37;
  while (high - low > 1) {
    const uint64_t middle = (low + high) / 2;
    Wide power = Wide{middle} * middle;
    if (degree == 3) power *= middle;
    (power <= target ? low : high) = middle;
  }
  return static_cast<uint32_t>(low);
}

constexpr std::array<uint32_t, 64> roots(int degree) {
  std::array<uint32_t, 64> result{};
  uint32_t candidate = 2;
  for (auto& word : result) {
    for (uint32_t divisor = 2; divisor * divisor <= candidate; divisor++) {
      if (candidate % divisor == 0) {
        candidate++;
        divisor = 1;
      }
    }
    word = root_fraction(candidate++, degree);
  }
  return result;
}

constexpr auto kRound = roots(3);
constexpr auto kInitial = roots(2);
static_assert(kRound[0] == 0x428a2f98 && kRound[63] == 0xc67178f2 && kInitial[7] == 0x5be0cd19);

void add_block(std::array<uint32_t, 8>& hash, const uint8_t* block) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++) {
    uint32_t word;
    std::memcpy(&word, block + 4 * i, 4);
    w[i] = __builtin_bswap32(word);
  }
  for (int i = 16; i < 64; i++) {
    const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = hash;
  for (int i = 0; i < 64; i++) {
    const uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
    const uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const uint32_t add[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; i++) hash[i] += add[i];
}

}  // namespace

std::array<uint8_t, 32> sha256(std::span<const uint8_t> message) {
  std::array<uint32_t, 8> hash{};
  for (int i = 0; i < 8; i++) hash[i] = kInitial[i];
  std::vector<uint8_t> padded(message.begin(), message.end());
  padded.push_back(0x80);
  while (padded.size() % 64 != 56) padded.push_back(0);
  const uint64_t bits = __builtin_bswap64(uint64_t{message.size()} * 8);
  const auto* tail = reinterpret_cast<const uint8_t*>(&bits);
  padded.insert(padded.end(), tail, tail + 8);
  for (size_t at = 0; at < padded.size(); at += 64) add_block(hash, padded.data() + at);
  std::array<uint8_t, 32> digest;
  for (int i = 0; i < 8; i++) {
    const uint32_t word = __builtin_bswap32(hash[i]);
    std::memcpy(digest.data() + 4 * i, &word, 4);
  }
  return digest;
}

}  // namespace sluice::bpf
