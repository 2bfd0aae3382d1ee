#!/usr/bin/env python3
"""links.py COMMAND...: programs attached to ports by the raw bpf system call, as a client of `sluice exec` does it.

attach IFINDEX VERDICT SECONDS: a socket filter that returns VERDICT, as a link held for SECONDS; prints "attached".
pin IFINDEX VERDICT PATH: the same, pinned.
runs PATH: how often the program of the pinned link ran.
show: every link: id, program, port."""
import ctypes
import os
import struct
import sys
import time

PROG_LOAD, OBJ_PIN, OBJ_GET, PROG_FD, INFO, LINK_CREATE, LINK_FD, LINK_NEXT = 5, 6, 7, 13, 15, 28, 30, 31
TCX_INGRESS = 46
libc = ctypes.CDLL(None, use_errno=True)


def bpf(cmd, attr):
    buffer = ctypes.create_string_buffer(attr, max(len(attr), 144))
    result = libc.syscall(321, cmd, buffer, len(buffer))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {cmd}")
    return result, buffer.raw


def load(verdict):
    insns = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xB7, 0, 0, verdict, 0x95, 0, 0, 0), 16)
    licence = ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, struct.pack("<IIQQIIQII16s", 1, 2, ctypes.addressof(insns), ctypes.addressof(licence), 0, 0, 0, 0,
                                      0, b"by_link"))[0]


def info(fd, size):
    out = ctypes.create_string_buffer(size)
    bpf(INFO, struct.pack("<IIQ", fd, size, ctypes.addressof(out)))
    return out.raw


def link(program, ifindex):
    return bpf(LINK_CREATE, struct.pack("<IIII", program, int(ifindex), TCX_INGRESS, 0))[0]


def at_path(cmd, path, fd):
    name = ctypes.create_string_buffer(path.encode())
    return bpf(cmd, struct.pack("<QII", ctypes.addressof(name), fd, 0))[0]


def pin(ifindex, verdict, path):
    at_path(OBJ_PIN, path, link(load(int(verdict)), ifindex))


def runs(path):
    _, _, program = struct.unpack_from("<3I", info(at_path(OBJ_GET, path, 0), 48))
    run_count, = struct.unpack_from("<Q", info(bpf(PROG_FD, struct.pack("<I", program))[0], 232), 200)
    print(run_count)


def attach(ifindex, verdict, seconds):
    program = load(int(verdict))
    link(program, ifindex)
    print("attached by", os.getpid(), flush=True)
    time.sleep(float(seconds))
    run_count, = struct.unpack_from("<Q", info(program, 232), 200)
    print("runs", run_count, flush=True)


def show():
    at = 0
    while True:
        try:
            _, raw = bpf(LINK_NEXT, struct.pack("<I", at))
        except FileNotFoundError:
            return
        at, = struct.unpack_from("<I", raw, 4)
        fd, _ = bpf(LINK_FD, struct.pack("<I", at))
        kind, number, program, _, ifindex, attach_type = struct.unpack_from("<6I", info(fd, 48))
        print(f"link {number} type {kind} program {program} port {ifindex} attach_type {attach_type}")


{"attach": attach, "pin": pin, "runs": runs, "show": show}[sys.argv[1]](*sys.argv[2:])
