"""Kinds replay_count and replay_write: one capture through `sluice replay` and through tcpdump, filter and count, filter and
write. From the first to the last packet: sluice reports it itself, of tcpdump the time of an empty capture is taken off.
What starting costs is a row of its own."""
import json
import pathlib
import random
import resource
import shutil
import struct
import subprocess
import tempfile

import rounds

FILTER = "tcp port 80"
QUICK_PACKETS = 300_000
FULL_PACKETS = 1_000_000
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)


def frame(rng, length):
    """IPv4 in Ethernet, TCP or UDP, a fifth of it web traffic."""
    protocol = 6 if rng.random() < 0.8 else 17
    port = 80 if rng.random() < 0.25 else rng.choice([443, 22, 53, 8080])
    ethernet = bytes(12) + b"\x08\x00"
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, length - 14, rng.randrange(65536), 0x4000, 64, protocol, 0,
                     0x0A000000 + rng.randrange(1 << 20), 0xC0A80000 + rng.randrange(4096))
    ports = struct.pack(">HHIIBBHHH", rng.randrange(1024, 65536), port, 0, 0, 0x50, 0x10, 8192, 0, 0)
    return (ethernet + ip + ports).ljust(length, b"\x5a")


def make_capture(path, packets):
    rng = random.Random(7)
    pool = [frame(rng, rng.choice([64, 64, 64, 128, 256, 590, 590, 1514])) for _ in range(4096)]
    with open(path, "wb") as out:
        out.write(HEADER)
        for first in range(0, packets, 10_000):
            chunk = bytearray()
            for i in range(first, min(first + 10_000, packets)):
                data = pool[rng.randrange(4096)]
                chunk += struct.pack("<IIII", 1_700_000_000 + i // 100_000, i % 1_000_000, len(data), len(data)) + data
            out.write(chunk)


def cpu_seconds(command):
    """User and system time of the whole process, and its output: what other work of the machine does not blur."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def passed(sluice, tcpdump, capture, folder):
    """Both count, and write the same file."""
    ours = json.loads(cpu_seconds([sluice, "replay", "--filter", FILTER, capture, "-j", "-w", f"{folder}/ours.pcap"])[1])
    subprocess.run([tcpdump, "-r", capture, "-w", f"{folder}/theirs.pcap", FILTER], check=True, capture_output=True)
    counted = subprocess.run([tcpdump, "-r", capture, "--count", FILTER], check=True, capture_output=True, text=True).stdout
    if int(counted.split()[0]) != ours["passed"]:
        raise SystemExit(f"replay: sluice passes {ours['passed']}, tcpdump says {counted}")
    if pathlib.Path(f"{folder}/ours.pcap").read_bytes() != pathlib.Path(f"{folder}/theirs.pcap").read_bytes():
        raise SystemExit("replay: the captures written by sluice and tcpdump differ")


def rows(build, full):
    sluice = str(build / "sluice")
    tcpdump = shutil.which("tcpdump")
    packets = FULL_PACKETS if full else QUICK_PACKETS
    shm = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        capture, nothing = f"{folder}/in.pcap", f"{folder}/nothing.pcap"
        make_capture(capture, packets)
        pathlib.Path(nothing).write_bytes(HEADER)
        if tcpdump is None:
            yield rounds.row("replay_count", FILTER, "", {}, ["tcpdump: not installed"])
            return
        passed(sluice, tcpdump, capture, folder)
        count = 21 if full else 11
        for kind, ours, theirs in [("replay_count", [], ["--count"]),
                                   ("replay_write", ["-w", f"{folder}/ours.pcap"], ["-w", f"{folder}/theirs.pcap"])]:
            def of_sluice(file):
                return cpu_seconds([sluice, "replay", "--filter", FILTER, file, "-j"] + ours)[0]

            def of_tcpdump(file):
                return cpu_seconds([tcpdump, "-r", file] + theirs + [FILTER])[0]

            # The start is measured in the same rounds, and its median taken off.
            values = rounds.measure({"sluice": lambda: of_sluice(capture), "tcpdump": lambda: of_tcpdump(capture),
                                     "sluice start": lambda: of_sluice(nothing), "tcpdump start": lambda: of_tcpdump(nothing)},
                                    count)
            net = {name: ((values[name][0] - values[name + " start"][0]) * 1e9 / packets, values[name][1])
                   for name in ("sluice", "tcpdump")}
            yield rounds.row(kind, f"{packets} packets, {FILTER}", "ns/packet", net)
            start = {name: (values[name + " start"][0] * 1e3, values[name + " start"][1]) for name in ("sluice", "tcpdump")}
            yield rounds.row(kind + "_start", "empty capture", "ms", start)
