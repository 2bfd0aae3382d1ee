// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// `tcp port 80` for testpmd's bpf-load, which hands over the packet's bytes alone: the peer may
// read 64 of them unchecked.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned long u64;

#define BE16(value) ((u16)((value) << 8 | (value) >> 8))

__attribute__((section(".text"))) u64 entry(u8 *packet) {
  u16 type = *(u16 *)(packet + 12);
  u8 *transport;
  if (type == BE16(0x86dd)) {
    if (packet[20] != 6) return 0;
    transport = packet + 54;
  } else {
    if (type != BE16(0x0800) || packet[23] != 6 || (*(u16 *)(packet + 20) & BE16(0x1fff))) return 0;
    transport = packet + 14 + (packet[14] & 15) * 4;
  }
  return *(u16 *)transport == BE16(80) || *(u16 *)(transport + 2) == BE16(80);
}
