#!/usr/bin/env python3
"""Writes valid requests into the folder given, for the socket fuzzer to start from."""
import pathlib
import struct
import sys

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
CALL, QUERY = 2, 5
VERSION = 2
MEMORY, FILE = 1, 2


def padded(data):
    return data + bytes(-len(data) % 8)


def call(cmd, attr, answers=(), descriptors=0):
    body = struct.pack("iIQII", cmd, len(attr), 0x1000, len(answers), 0) + padded(attr)
    for kind, number, address, data in answers:
        body += struct.pack("IiQQiI", kind, number, address, len(data), 0, len(data)) + padded(data)
    frame = struct.pack("IHH", len(body) + 8, CALL, VERSION) + body
    return bytes([descriptors, 255]) + frame


def element(cmd, answers, descriptors=1):
    return call(cmd, struct.pack("IIQQQ", 3, 0, 0x2000, 0x3000, 0), [(FILE, 3, 0, b""), *answers], descriptors)


KEY = (MEMORY, 0, 0x2000, struct.pack("I", 1))
VALUE = (MEMORY, 0, 0x3000, struct.pack("Q", 5))
PROGRAM = struct.pack("BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0)
SEEDS = {
    "create": call(0, struct.pack("IIIIIII16s", 1, 4, 8, 4, 0, 0, 0, b"m")),
    "lookup": element(1, [KEY]),
    "update": element(2, [KEY, VALUE]),
    "delete": element(3, [KEY]),
    "next": element(4, [KEY]),
    "load": call(5, struct.pack("IIQQ", 1, 2, 0x2000, 0x3000).ljust(128, b"\0"),
                 [(MEMORY, 0, 0x2000, PROGRAM), (MEMORY, 0, 0x3000, b"GPL\0")]),
    "info": call(15, struct.pack("IIQ", 3, 88, 0x2000), [(FILE, 3, 0, b""), (MEMORY, 0, 0x2000, bytes(88))], 1),
    "need": call(2, struct.pack("IIQQQ", 3, 0, 0x2000, 0x3000, 0)),
    "batch": call(24, struct.pack("QQQQIIQQ", 0, 0x2000, 0x3000, 0x4000, 4, 3, 0, 0), [(FILE, 3, 0, b"")], 1),
    "query": bytes([0, 255]) + struct.pack("IHHII", 24, QUERY, VERSION, 0, 6) + padded(b"status"),
}
for name, seed in SEEDS.items():
    (folder / name).write_bytes(seed)
