#!/usr/bin/env python3
"""A VLAN interface in user space, for kernels without 8021q: a tap whose frames cross PARENT with a tag.

usage: vlan_tap.py PARENT NAME VLAN      until it is killed
"""
import fcntl
import os
import select
import socket
import struct
import sys

ETH_P_ALL, TUNSETIFF, IFF_TAP, IFF_NO_PI = 3, 0x400454CA, 2, 0x1000
SOL_PACKET, PACKET_AUXDATA, VLAN_VALID, OUTGOING = 263, 8, 0x10, 4


def tag_of(ancillary):
    """The tag that the kernel took off a received frame; None where there was none."""
    for _, kind, data in ancillary:
        if kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, _ = struct.unpack_from("=IIIHHHH", data)
            return tci & 0xFFF if status & VLAN_VALID else None
    return None


def main():
    parent, name, vlan = sys.argv[1], sys.argv[2], int(sys.argv[3])
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.bind((parent, ETH_P_ALL))
    while True:
        ready, _, _ = select.select([tap, wire], [], [])
        if tap in ready:
            frame = os.read(tap, 65536)
            wire.send(frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:])
        if wire in ready:
            frame, ancillary, _, address = wire.recvmsg(65536, 256)
            if address[2] != OUTGOING and tag_of(ancillary) == vlan:
                os.write(tap, frame)


main()
