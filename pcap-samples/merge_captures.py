#!/usr/bin/env python3
"""Merges microsecond captures of this machine's byte order into one, as if all had begun at the first one's first packet.

usage: merge_captures.py OUT IN...
"""
import struct
import sys


def records(path):
    """The capture's header, and its records as (time in microseconds, wire length, bytes)."""
    with open(path, "rb") as file:
        data = file.read()
    if struct.unpack_from("=I", data)[0] != 0xA1B2C3D4:
        sys.exit(f"merge_captures.py: {path}: not a microsecond capture of this byte order")
    result, at = [], 24
    while at < len(data):
        seconds, micros, captured, wire = struct.unpack_from("=IIII", data, at)
        result.append((seconds * 1_000_000 + micros, wire, data[at + 16:at + 16 + captured]))
        at += 16 + captured
    return data[:24], result


def main():
    out, *inputs = sys.argv[1:]
    merged, header, start = [], None, None
    for path in inputs:
        first_header, packets = records(path)
        header = header or first_header
        start = packets[0][0] if start is None else start
        merged += [(start + time - packets[0][0], wire, packet) for time, wire, packet in packets]
    merged.sort(key=lambda record: record[0])  # stable: records of one time stay in the order of the inputs
    with open(out, "wb") as file:
        file.write(header)
        for time, wire, packet in merged:
            file.write(struct.pack("=IIII", time // 1_000_000, time % 1_000_000, len(packet), wire) + packet)


main()
