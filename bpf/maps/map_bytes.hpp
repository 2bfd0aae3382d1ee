// Moving, comparing and hashing the bytes of keys and values, eight at a time. Shared by the binary
// and the JIT's bitcode. Storage (keys and values inside a map) is 8-aligned, padded to 8 with
// zeros and accessed by atomic words, so that a reader racing with reuse sees whole words; the
// program's side may be unaligned and is read to its exact size. Chains of `if`s up to 64 bytes,
// not loops: they vanish once the JIT has made the size a constant.
#pragma once

#include <cstdint>

namespace sluice::bpf {

inline constexpr uint32_t kChainBytes = 64;

[[gnu::always_inline]] inline constexpr uint32_t round_up(uint32_t size, uint32_t to) {
  return (size + to - 1) / to * to;
}

// Where a caller's key is a small local and the map is not constant, g++ sees the branches for
// larger keys and warns.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds"
#ifndef __clang__  // which does not know it
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

// Bytes [at, min(at + 8, size)) of `from`, zero-extended; 0 from `size` on.
[[gnu::always_inline]] inline uint64_t load_bytes(const void* from, uint32_t size, uint32_t at) {
  if (at >= size) return 0;
  const uint8_t* bytes = static_cast<const uint8_t*>(from) + at;
  uint32_t left = size - at;
  if (left >= 8) {
    uint64_t word;
    __builtin_memcpy(&word, bytes, 8);
    return word;
  }
  uint64_t word = 0;
  uint32_t shift = 0;
  if (left & 4) {
    uint32_t part;
    __builtin_memcpy(&part, bytes, 4);
    word = part;
    bytes += 4;
    shift = 32;
  }
  if (left & 2) {
    uint16_t part;
    __builtin_memcpy(&part, bytes, 2);
    word |= static_cast<uint64_t>(part) << shift;
    bytes += 2;
    shift += 16;
  }
  if (left & 1) word |= static_cast<uint64_t>(*bytes) << shift;
  return word;
}

#pragma GCC diagnostic pop

// Acquire and release cost nothing on x86 and let a sequence check after the copy tell whether it
// was torn.
[[gnu::always_inline]] inline uint64_t load_word(const void* storage, uint32_t at) {
  return __atomic_load_n(
      reinterpret_cast<const uint64_t*>(static_cast<const uint8_t*>(storage) + at),
      __ATOMIC_ACQUIRE);
}
[[gnu::always_inline]] inline void store_word(void* storage, uint32_t at, uint64_t word) {
  __atomic_store_n(reinterpret_cast<uint64_t*>(static_cast<uint8_t*>(storage) + at), word,
                   __ATOMIC_RELEASE);
}

// `size` bytes into storage; the padding becomes zero.
[[gnu::always_inline]] inline void copy_in(void* storage, const void* from, uint32_t size) {
  if (size > 0) store_word(storage, 0, load_bytes(from, size, 0));
  if (size > 8) store_word(storage, 8, load_bytes(from, size, 8));
  if (size > 16) store_word(storage, 16, load_bytes(from, size, 16));
  if (size > 24) store_word(storage, 24, load_bytes(from, size, 24));
  if (size > 32) store_word(storage, 32, load_bytes(from, size, 32));
  if (size > 40) store_word(storage, 40, load_bytes(from, size, 40));
  if (size > 48) store_word(storage, 48, load_bytes(from, size, 48));
  if (size > 56) store_word(storage, 56, load_bytes(from, size, 56));
  for (uint32_t at = kChainBytes; at < size; at += 8)
    store_word(storage, at, load_bytes(from, size, at));
}

inline void clear_storage(void* storage, uint32_t size) {
  for (uint32_t at = 0; at < size; at += 8) store_word(storage, at, 0);
}

// `size` bytes out of storage, for the control thread.
inline void copy_out(void* to, const void* storage, uint32_t size) {
  uint8_t* bytes = static_cast<uint8_t*>(to);
  for (uint32_t at = 0; at < size; at += 8) {
    uint64_t word = load_word(storage, at);
    __builtin_memcpy(bytes + at, &word, size - at < 8 ? size - at : 8);
  }
}

[[gnu::always_inline]] inline bool word_equal(const void* storage, const void* key, uint32_t size,
                                              uint32_t at) {
  return load_word(storage, at) == load_bytes(key, size, at);
}

[[gnu::always_inline]] inline bool key_equal(const void* storage, const void* key, uint32_t size) {
  if (!word_equal(storage, key, size, 0)) return false;
  if (size > 8 && !word_equal(storage, key, size, 8)) return false;
  if (size > 16 && !word_equal(storage, key, size, 16)) return false;
  if (size > 24 && !word_equal(storage, key, size, 24)) return false;
  if (size > 32 && !word_equal(storage, key, size, 32)) return false;
  if (size > 40 && !word_equal(storage, key, size, 40)) return false;
  if (size > 48 && !word_equal(storage, key, size, 48)) return false;
  if (size > 56 && !word_equal(storage, key, size, 56)) return false;
  for (uint32_t at = kChainBytes; at < size; at += 8) {
    if (!word_equal(storage, key, size, at)) return false;
  }
  return true;
}

// The upper half of the product.
#ifdef SLUICE_BITCODE
// LLVM's instruction for it: a __int128 makes LLVM count bits of numbers that it keeps on the heap,
// which was a tenth of the compilation of a lookup.
extern "C" uint64_t sluice_multiply_scaled(uint64_t a, uint64_t b,
                                           int scale) __asm__("llvm.umul.fix.i64");
[[gnu::always_inline]] inline uint64_t multiply_high(uint64_t a, uint64_t b) {
  return sluice_multiply_scaled(a, b, 64);
}
#else
[[gnu::always_inline]] inline uint64_t multiply_high(uint64_t a, uint64_t b) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b >> 64);
}
#endif

[[gnu::always_inline]] inline uint64_t multiply_fold(uint64_t a, uint64_t b) {
  return a * b ^ multiply_high(a, b);
}

// Both factors are masked by secret words, so a sender who does not know them cannot aim at one
// bucket.
[[gnu::always_inline]] inline uint64_t hash_pair(uint64_t state, const uint64_t secret[2],
                                                 const void* key, uint32_t size, uint32_t at) {
  return multiply_fold(load_bytes(key, size, at) ^ secret[0] ^ state,
                       load_bytes(key, size, at + 8) ^ secret[1]);
}

[[gnu::always_inline]] inline uint64_t hash_bytes(const uint64_t secret[2], const void* key,
                                                  uint32_t size) {
  uint64_t state = hash_pair(0, secret, key, size, 0);
  if (size > 16) state = hash_pair(state, secret, key, size, 16);
  if (size > 32) state = hash_pair(state, secret, key, size, 32);
  if (size > 48) state = hash_pair(state, secret, key, size, 48);
  for (uint32_t at = kChainBytes; at < size; at += 16)
    state = hash_pair(state, secret, key, size, at);
  // The odd constant (the golden ratio) keeps the factor from being a power of two under a zero
  // seed.
  return multiply_fold(state ^ secret[1], secret[0] ^ 0x9e3779b97f4a7c15ull);
}

// hash_bytes of a key in storage, which another thread may be writing: then it is some number.
inline uint64_t hash_storage(const uint64_t secret[2], const void* storage, uint32_t size) {
  const auto word = [&](uint32_t at) { return at < size ? load_word(storage, at) : 0; };
  uint64_t state = 0;
  for (uint32_t at = 0; at == 0 || at < size; at += 16) {
    state = multiply_fold(word(at) ^ secret[0] ^ state, word(at + 8) ^ secret[1]);
  }
  return multiply_fold(state ^ secret[1], secret[0] ^ 0x9e3779b97f4a7c15ull);
}

}  // namespace sluice::bpf
