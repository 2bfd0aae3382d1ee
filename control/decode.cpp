#include "control/decode.hpp"

#include <arpa/inet.h>

#include <cstring>

namespace sluice::control {

namespace {

std::string decode_hex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// Little endian, as programs on this machine write their keys.
std::string decode_uint(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return std::to_string(value);
}

// Up to the first zero byte; what is not printable ASCII goes as \xNN, for keys come from packets.
std::string decode_string(std::span<const uint8_t> bytes) {
  std::string text;
  for (const uint8_t byte : bytes) {
    if (byte == 0) break;
    if (byte >= 0x20 && byte < 0x7f) {
      text += static_cast<char>(byte);
    } else {
      text += "\\x" + decode_hex({&byte, 1});
    }
  }
  return text;
}

std::string decode_address(std::span<const uint8_t> bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

std::string decode_static(const config::Decoder& decoder, const std::string& text, bool& known) {
  const auto found = decoder.static_map.find(text);
  if (found != decoder.static_map.end()) {
    known = true;
    return found->second;
  }
  return decoder.allow_unknown ? text : "unknown:" + text;
}

}  // namespace

std::string decode_label(const config::Label& label, std::span<const uint8_t> bytes, bool& known) {
  std::string text;
  for (const auto& decoder : label.decoders) {
    switch (decoder.kind) {
      case config::Decode::uint: text = decode_uint(bytes); break;
      case config::Decode::hex: text = decode_hex(bytes); break;
      case config::Decode::string: text = decode_string(bytes); break;
      case config::Decode::inet_ip: text = decode_address(bytes); break;
      case config::Decode::static_map: text = decode_static(decoder, text, known); break;
    }
  }
  return text;
}

}  // namespace sluice::control
