# bpf(2) from Python by ctypes on the C library's syscall().
import ctypes
import errno
import os
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
MAP_CREATE, LOOKUP, UPDATE, DELETE, NEXT_KEY = range(5)
SYS_BPF = 321
HASH = 1


def bpf(cmd, attr):
    buffer = ctypes.create_string_buffer(attr, len(attr))
    result = libc.syscall(SYS_BPF, cmd, buffer, len(attr))
    return (result if result >= 0 else -ctypes.get_errno()), buffer.raw


def create(name):
    result, _ = bpf(MAP_CREATE, struct.pack("IIIIIII16s", HASH, 4, 8, 100, 0, 0, 0, name))
    assert result >= 0, errno.errorcode[-result]
    return result


def element(cmd, fd, key, value):
    def address(item):
        return 0 if item is None else ctypes.addressof(item)
    return bpf(cmd, struct.pack("IIQQQ", fd, 0, address(key), address(value), 0))[0]


fd = create(sys.argv[1].encode())
assert "bpf-map" in os.readlink(f"/proc/self/fd/{fd}"), os.readlink(f"/proc/self/fd/{fd}")
for number in range(50):
    assert element(UPDATE, fd, ctypes.c_uint32(number), ctypes.c_uint64(number * number)) == 0
found = {}
key, following, value = None, ctypes.c_uint32(), ctypes.c_uint64()
while element(NEXT_KEY, fd, key, following) == 0:
    assert element(LOOKUP, fd, following, value) == 0
    found[following.value] = value.value
    key = ctypes.c_uint32(following.value)
assert found == {number: number * number for number in range(50)}, found
assert element(DELETE, fd, ctypes.c_uint32(3), None) == 0
assert element(LOOKUP, fd, ctypes.c_uint32(3), value) == -errno.ENOENT
copy = os.dup(fd)
os.close(fd)
assert element(LOOKUP, copy, ctypes.c_uint32(4), value) == 0 and value.value == 16
print("all as expected")
