#include "bpf/helpers/text.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "base/careful_copy.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kMaxText = 512;  // bytes of one %s

// Counts what does not fit.
struct Output {
  char* text;
  uint32_t room;
  uint32_t length = 0;

  void put(char c) {
    if (length + 1 < room) text[length] = c;
    length++;
  }
  void finish() {
    if (room > 0) text[length < room ? length : room - 1] = 0;
  }
};

enum class Kind : uint8_t {
  signed_number, unsigned_number, hex, hex_upper, character, text, address, symbol, ipv4, ipv6
};

struct Conversion {
  Kind kind = Kind::signed_number;
  bool zero = false;
  bool plus = false;
  bool left = false;
  bool space = false;
  bool plain = false;  // ip: %pi, numbers without separators and padded
  uint32_t width = 0;
  uint32_t bytes = 4;
};

// A place in the format. Behind the format's end there are zeros.
class Cursor {
 public:
  explicit Cursor(std::string_view format) : at_(format.data()), end_(at_ + format.size()) {}
  char operator[](size_t i) const {
    return i < static_cast<size_t>(end_ - at_) ? at_[i] : '\0';
  }
  char operator*() const { return (*this)[0]; }
  void skip(size_t count) { at_ += std::min(count, static_cast<size_t>(end_ - at_)); }

 private:
  const char* at_;
  const char* end_;
};

bool ends_word(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return c == 0 || std::isspace(byte) != 0 || std::ispunct(byte) != 0;
}

// Linux prints what follows a pointer's conversion only from the first character that is neither
// letter nor digit.
void skip_alphanumeric(Cursor& at) {
  while (std::isalnum(static_cast<unsigned char>(*at)) != 0) at.skip(1);
}

// Behind "%p". False: no form of it that we know.
bool parse_pointer(Cursor& at, Conversion* out) {
  if ((at[0] == 'k' || at[0] == 'u') && at[1] == 's') {
    at.skip(2);
    out->kind = Kind::text;
    return ends_word(*at);
  }
  if ((at[0] == 'i' || at[0] == 'I') && (at[1] == '4' || at[1] == '6')) {
    out->kind = at[1] == '4' ? Kind::ipv4 : Kind::ipv6;
    out->plain = at[0] == 'i';
    skip_alphanumeric(at);
    return true;
  }
  out->kind = Kind::address;
  if (ends_word(at[0])) return true;
  const bool symbol = at[0] == 's' || at[0] == 'S' || at[0] == 'B';
  if (symbol) out->kind = Kind::symbol;
  if (!symbol && at[0] != 'x' && at[0] != 'K') return false;
  skip_alphanumeric(at);
  return true;
}

// Behind the '%', which is no "%%". Leaves `at` behind the conversion. False: unknown.
bool parse_conversion(Cursor& at, Conversion* out) {
  for (; *at == '0' || *at == '+' || *at == '-' || *at == ' '; at.skip(1)) {
    out->zero |= *at == '0';
    out->plus |= *at == '+';
    out->left |= *at == '-';
    out->space |= *at == ' ';
  }
  for (; *at >= '0' && *at <= '9'; at.skip(1)) {
    if (out->width < 10000) out->width = out->width * 10 + static_cast<uint32_t>(*at - '0');
  }
  if (*at == 'p') {
    at.skip(1);
    return parse_pointer(at, out);
  }
  if (*at == 's' || *at == 'c') {
    out->kind = *at == 's' ? Kind::text : Kind::character;
    at.skip(1);
    return out->kind == Kind::character || ends_word(*at);
  }
  for (int longs = 0; *at == 'l' && longs < 2; longs++, at.skip(1)) out->bytes = 8;
  const char letter = *at;
  at.skip(1);
  switch (letter) {
    case 'd':
    case 'i': out->kind = Kind::signed_number; return true;
    case 'u': out->kind = Kind::unsigned_number; return true;
    case 'x': out->kind = Kind::hex; return true;
    case 'X': out->kind = Kind::hex_upper; return true;
    default: return false;
  }
}

void put_padded(Output& out, const Conversion& how, const char* prefix, const char* text,
                uint32_t length) {
  const auto used = static_cast<uint32_t>(std::strlen(prefix)) + length;
  const uint32_t padding = how.width > used ? how.width - used : 0;
  const bool zeros = how.zero && !how.left;
  if (!how.left && !zeros) for (uint32_t i = 0; i < padding; i++) out.put(' ');
  while (*prefix != 0) out.put(*prefix++);
  if (zeros) for (uint32_t i = 0; i < padding; i++) out.put('0');
  for (uint32_t i = 0; i < length; i++) out.put(text[i]);
  if (how.left) for (uint32_t i = 0; i < padding; i++) out.put(' ');
}

// Digits of a number, most significant first; returns how many.
uint32_t write_digits(char* to, uint64_t value, uint32_t base, bool upper) {
  const char* digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  char reversed[20];
  uint32_t count = 0;
  do {
    reversed[count++] = digits[value % base];
    value /= base;
  } while (value != 0);
  for (uint32_t i = 0; i < count; i++) to[i] = reversed[count - 1 - i];
  return count;
}

void put_number(Output& out, const Conversion& how, uint64_t value) {
  const char* prefix = "";
  uint64_t magnitude = how.bytes == 8 ? value : static_cast<uint32_t>(value);
  if (how.kind == Kind::signed_number) {
    const int64_t number =
        how.bytes == 8 ? static_cast<int64_t>(value) : static_cast<int32_t>(value);
    magnitude = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    prefix = number < 0 ? "-" : how.plus ? "+" : how.space ? " " : "";
  }
  const bool hex = how.kind == Kind::hex || how.kind == Kind::hex_upper;
  char digits[20];
  const uint32_t length =
      write_digits(digits, magnitude, hex ? 16 : 10, how.kind == Kind::hex_upper);
  put_padded(out, how, prefix, digits, length);
}

// All 16 digits, unless a width is given.
void put_address(Output& out, Conversion how, uint64_t value) {
  if (how.width == 0) {
    how.width = 16;
    how.zero = true;
  }
  how.kind = Kind::hex;
  how.bytes = 8;
  put_number(out, how, value);
}

// Where Linux has a symbol's name for an address it gives that; where it has none, this.
void put_symbol(Output& out, const Conversion& how, uint64_t value) {
  char digits[20];
  put_padded(out, how, "0x", digits, write_digits(digits, value, 16, false));
}

// What cannot be read is empty, as in Linux. Pages are asked for one at a time, since the string
// may end before the next.
void put_text(Output& out, const Conversion& how, uint64_t from) {
  constexpr uint64_t kPage = 4096;
  char text[kMaxText];
  uint32_t length = 0;
  while (length + 1 < kMaxText) {
    const auto in_page = static_cast<uint32_t>(kPage - (from + length) % kPage);
    const uint32_t want = in_page < kMaxText - 1 - length ? in_page : kMaxText - 1 - length;
    const size_t got = read_carefully(text + length, from + length, want);
    const auto* end = static_cast<const char*>(std::memchr(text + length, 0, got));
    if (end != nullptr) {
      length = static_cast<uint32_t>(end - text);
      break;
    }
    length += static_cast<uint32_t>(got);
    if (got < want) {
      length = 0;
      break;
    }
  }
  put_padded(out, how, "", text, length);
}

uint32_t write_ipv4(char* to, const uint8_t* bytes, bool padded) {
  uint32_t length = 0;
  for (int i = 0; i < 4; i++) {
    if (i > 0) to[length++] = '.';
    char digits[20];
    const uint32_t count = write_digits(digits, bytes[i], 10, false);
    for (uint32_t pad = count; padded && pad < 3; pad++) to[length++] = '0';
    std::memcpy(to + length, digits, count);
    length += count;
  }
  return length;
}

void put_ip(Output& out, const Conversion& how, uint64_t from) {
  uint8_t bytes[16] = {};
  const bool v4 = how.kind == Kind::ipv4;
  const uint32_t size = v4 ? 4 : 16;
  if (read_carefully(bytes, from, size) < size) std::memset(bytes, 0, sizeof bytes);
  char text[48];
  uint32_t length = 0;
  if (v4) {
    length = write_ipv4(text, bytes, how.plain);
  } else {
    for (uint32_t i = 0; i < 16; i++) {
      if (!how.plain && i > 0 && i % 2 == 0) text[length++] = ':';
      text[length++] = "0123456789abcdef"[bytes[i] >> 4];
      text[length++] = "0123456789abcdef"[bytes[i] & 15];
    }
  }
  put_padded(out, how, "", text, length);
}

void put_argument(Output& out, const Conversion& how, uint64_t value) {
  switch (how.kind) {
    case Kind::character: {
      const char c = static_cast<char>(value);
      put_padded(out, how, "", &c, 1);
      return;
    }
    case Kind::text: put_text(out, how, value); return;
    case Kind::address: put_address(out, how, value); return;
    case Kind::symbol: put_symbol(out, how, value); return;
    case Kind::ipv4:
    case Kind::ipv6: put_ip(out, how, value); return;
    case Kind::signed_number:
    case Kind::unsigned_number:
    case Kind::hex:
    case Kind::hex_upper: put_number(out, how, value); return;
  }
}

}  // namespace

bool is_format(std::string_view format, uint32_t count) {
  const uint64_t nothing[kMaxFormatArguments] = {};
  return count <= kMaxFormatArguments && format_text(nullptr, 0, format, nothing, count) >= 0;
}

long format_text(char* text, uint32_t room, std::string_view format, const uint64_t* arguments,
                 uint32_t count) {
  Output out{text, room};
  uint32_t next = 0;
  for (Cursor at(format);;) {
    const auto byte = static_cast<unsigned char>(*at);
    if (byte == 0) break;
    if (byte < 0x80 && std::isprint(byte) == 0 && std::isspace(byte) == 0) return -EINVAL;
    if (byte != '%' || at[1] == '%') {
      at.skip(byte == '%' ? 2 : 1);
      out.put(static_cast<char>(byte));
      continue;
    }
    Conversion how;
    at.skip(1);
    if (next >= count || !parse_conversion(at, &how)) return -EINVAL;
    put_argument(out, how, arguments[next++]);
  }
  out.finish();
  return out.length;
}

}  // namespace sluice::bpf
