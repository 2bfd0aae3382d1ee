"""Runs `sluice replay` and tcpdump over the same captures and compares packet records and counters; see parity.sh."""
import concurrent.futures
import glob
import os
import re
import struct
import subprocess
import sys
import tempfile

sluice, root, expressions_file = sys.argv[1:]
ETHERNET = 1
failures = []


def run(*command):
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def link_type(path):
    with open(path, "rb") as file:
        head = file.read(24)
    order = "<" if head[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    return struct.unpack_from(order + "I", head, 20)[0] & 0xFFFF


def records(path):
    """(seconds, nanoseconds, wire length, bytes) of each record; captures as sluice and tcpdump write them here."""
    with open(path, "rb") as file:
        data = file.read()
    unit = 1 if struct.unpack_from("=I", data)[0] == 0xA1B23C4D else 1000
    result, at = [], 24
    while at < len(data):
        seconds, fraction, captured, wire = struct.unpack_from("=IIII", data, at)
        result.append((seconds, fraction * unit, wire, data[at + 16:at + 16 + captured]))
        at += 16 + captured
    return result


def reference(capture, expression, out):
    # In nanoseconds, or tcpdump rounds the time stamps of a capture that has them.
    done = run("tcpdump", "-r", capture, "--time-stamp-precision=nano", "-w", out, *([expression] if expression else []))
    return records(out) if done.returncode == 0 else None


def compare(folder, number, capture, expression):
    """A sentence on the first difference, or None; and the number of packets kept."""
    mine, theirs = f"{folder}/{number}.mine", f"{folder}/{number}.theirs"
    where = f"{os.path.basename(capture)}, {expression!r}"
    expected = reference(capture, expression, theirs)
    if expected is None:
        return f"{where}: tcpdump refuses it", 0
    done = run(sluice, "replay", "--filter", expression, capture, "-w", mine)
    if done.returncode != 0:
        return f"{where}: exit status {done.returncode}: {done.stderr.decode().strip()}", 0
    got = records(mine)
    os.unlink(mine)
    os.unlink(theirs)
    if got == expected:
        return None, len(got)
    same = sum(1 for _ in iter_same(got, expected))
    return f"{where}: {len(got)} records, tcpdump has {len(expected)}; they differ from record {same + 1} on", 0


def iter_same(left, right):
    for a, b in zip(left, right):
        if a != b:
            return
        yield a


def merge(captures, out):
    """All records of all captures in one, so that an expression costs one start of each program."""
    merged = []
    for capture in captures:
        merged += reference(capture, "", out)
    with open(out, "wb") as file:
        file.write(struct.pack("=IHHIIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, ETHERNET))
        for seconds, nanoseconds, wire, packet in merged:
            file.write(struct.pack("=IIII", seconds, nanoseconds, len(packet), wire) + packet)
    return len(merged)


CONFIG = """
ports: [{name: p, device: net_null0}]
programs: [{name: count, object: proto_count.bpf.o}]
attach: [{port: p, programs: [count], drop: true}]
metrics:
  counters:
    - {name: packets_total, help: h, map: count/proto_packets, labels: [{name: protocol, size: 4, decoders: [{name: uint}]}]}
"""


def counted(capture, config):
    done = run(sluice, "replay", config, capture, "--metrics")
    if done.returncode != 0:
        return None, f"{capture}: exit status {done.returncode}: {done.stderr.decode().strip()}"
    counts = {}
    for protocol, value in re.findall(r'^packets_total\{.*?protocol="(\d+)".*?\} (\S+)$', done.stdout.decode(), re.M):
        if float(value) > 0:
            counts[int(protocol)] = int(float(value))
    return counts, None


def compare_counters(capture, config, out):
    counts, error = counted(capture, config)
    if error:
        return error
    for protocol in sorted(set(counts) | {1, 2, 6, 17, 47, 89}):
        expected = len(reference(capture, f"ip proto {protocol}", out))
        if counts.get(protocol, 0) != expected:
            return f"{os.path.basename(capture)}: ip proto {protocol}: {counts.get(protocol, 0)}, tcpdump counts {expected}"
    total = len(reference(capture, "ip", out))
    # An IPv4 packet cut off before its protocol is in `ip` but in no `ip proto N`.
    if sum(counts.values()) > total:
        return f"{os.path.basename(capture)}: {sum(counts.values())} packets counted, tcpdump has {total} of ip"
    return None


def main():
    with open(expressions_file, encoding="utf-8") as file:
        expressions = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    expressions = ["" if line == "-" else line for line in expressions]
    captures = sorted(glob.glob(f"{root}/pcap-samples/*.pcap"))
    shared = os.environ.get("SLUICE_SHARED_PCAPS", "")
    if os.path.isdir(shared):
        captures += [path for path in sorted(glob.glob(f"{shared}/*.pcap")) if link_type(path) == ETHERNET]
    else:
        print("SLUICE_SHARED_PCAPS names no folder: our own captures alone")
    if not captures:
        sys.exit("no captures")

    with tempfile.TemporaryDirectory() as folder:
        merged = f"{folder}/all.pcap"
        packets = merge(captures, merged)
        # Every expression over all records at once; every capture by itself with one expression of each kind.
        pairs = [(merged, expression) for expression in expressions]
        pairs += [(capture, expressions[i % len(expressions)]) for i, capture in enumerate(captures)]
        pairs += [(capture, "") for capture in captures]
        kept = 0
        silent = []
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(compare, folder, i, *pair) for i, pair in enumerate(pairs)]
            for (capture, expression), job in zip(pairs, jobs):
                failure, count = job.result()
                kept += count
                if failure:
                    failures.append(failure)
                elif capture == merged and count == 0:
                    silent.append(expression)
        config, out = f"{folder}/count.yaml", f"{folder}/reference"
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG)
        for capture in captures + [merged]:
            if failure := compare_counters(capture, config, out):
                failures.append(failure)
    for failure in failures:
        print("FAIL:", failure)
    if silent:
        print("expressions that kept nothing:", ", ".join(silent))
    if len(silent) > 8:
        sys.exit("too many expressions keep nothing: the captures do not exercise them")
    print(f"{len(expressions)} expressions, {len(captures)} captures with {packets} packets, {kept} records compared")
    sys.exit(1 if failures else 0)


main()
