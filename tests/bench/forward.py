"""Kind forward: one worker between two net_null ports, sluice beside dpdk-testpmd, accept-all against its io mode and a TCP
port filter against its bpf-load with the JIT. Time a packet of the worker's core, from the packets that moved within a
window of the worker's own CPU time (so that other work of the machine is not counted)."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

import rounds

WINDOW_SECONDS = 0.4
FILTER = "tcp port 80"


class Program:
    """A running forwarder. packets() is what it has taken in so far."""

    def start(self, command, **options):
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(command, stderr=self.log, text=True, **options)

    def find_worker(self):
        self.worker = rounds.busiest_thread(self.process.pid)

    def ns_a_packet(self):
        """Stopped between its rounds, so that two busy programs never share a core's time."""
        self.process.send_signal(signal.SIGCONT)
        time.sleep(0.05)
        packets, seconds = self.packets(), rounds.thread_seconds(self.process.pid, self.worker)
        time.sleep(WINDOW_SECONDS)
        packets, seconds = self.packets() - packets, rounds.thread_seconds(self.process.pid, self.worker) - seconds
        self.process.send_signal(signal.SIGSTOP)
        return seconds * 1e9 / packets

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait()


class Sluice(Program):
    def __init__(self, sluice, folder, programs, attached):
        config = pathlib.Path(folder) / f"{len(attached)}.yaml"
        chain = f"programs: [{attached}], " if attached else ""
        config.write_text("eal: {memory_mb: 128, hugepages: never, cores: [0, 1]}\n"
                          "ports:\n  - {name: in, device: net_null0}\n  - {name: out, device: net_null1}\n"
                          f"{programs}attach:\n  - {{port: in, {chain}forward: out}}\n  - {{port: out, {chain}forward: in}}\n"
                          "metrics: {listen: \"127.0.0.1:0\"}\n")
        self.start([sluice, "run", str(config)], stdout=subprocess.DEVNULL)
        for _ in range(200):
            self.log.seek(0)
            text = self.log.read()
            if "ready:" in text:
                break
            if self.process.poll() is not None:
                raise SystemExit(f"forward: sluice ends: {text}")
            time.sleep(0.1)
        self.address = re.search(r"http://[0-9.:]*/metrics", text).group()
        self.find_worker()

    def packets(self):
        text = urllib.request.urlopen(self.address, timeout=10).read().decode()
        return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith("sluice_worker_packets_total"))


class Testpmd(Program):
    def __init__(self, testpmd, commands=()):
        # Its output would wait in a buffer otherwise.
        self.start(["stdbuf", "-oL", testpmd, "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m", "128", "-l", "0,1",
                    "--log-level=error", f"--file-prefix=bench{time.time_ns()}", "--vdev=net_null0", "--vdev=net_null1", "--",
                    "--forward-mode=io", "--no-lsc-interrupt", "--total-num-mbufs=8192", "-i"],
                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1)
        for command in commands:
            self.say(command)
        self.say("start")
        self.packets()
        self.find_worker()

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        # testpmd's own handler of SIGTERM hangs now and then.
        self.process.kill()
        self.process.wait()

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def packets(self):
        self.say("show port stats all")
        total = 0
        for _ in range(2):
            for line in self.process.stdout:
                if "rror " in line or "invalid" in line:
                    raise SystemExit(f"forward: testpmd: {line}")
                match = re.search(r"RX-packets: (\d+)", line)
                if match:
                    total += int(match.group(1))
                    break
        return total


def compare(kind_name, ours, theirs, peer, count):
    try:
        values = rounds.measure({"sluice": ours.ns_a_packet, peer: theirs.ns_a_packet}, count)
    finally:
        ours.stop()
        theirs.stop()
    return rounds.row("forward", kind_name, "ns/packet", values)


def bpf_object(folder):
    """The filter as an ELF object in the form of rte_bpf: a function of the packet's bytes, without maps or helpers."""
    source = pathlib.Path(__file__).parent / "programs/testpmd_filter.c"
    target = f"{folder}/filter.o"
    subprocess.run(["clang-19", "-O2", "-target", "bpf", "-mcpu=v2", "-c", str(source), "-o", target], check=True)
    return target


def rows(build, full):
    sluice = str(build / "sluice")
    testpmd = shutil.which("dpdk-testpmd")
    if testpmd is None or os.geteuid() != 0:
        yield rounds.row("forward", "accept all", "", {}, ["testpmd: not installed, or not root"])
        return
    count = 15 if full else 7
    with tempfile.TemporaryDirectory() as folder:
        ours = Sluice(sluice, folder, "", "")
        ours.process.send_signal(signal.SIGSTOP)
        theirs = Testpmd(testpmd)
        yield compare("accept all", ours, theirs, "testpmd", count)
        programs = f"programs:\n  - {{name: web, filter: {json.dumps(FILTER)}}}\n"
        ours = Sluice(sluice, folder, programs, "web")
        ours.process.send_signal(signal.SIGSTOP)
        elf = bpf_object(folder)
        theirs = Testpmd(testpmd, [f"bpf-load rx 0 0 J {elf}", f"bpf-load rx 1 0 J {elf}"])
        yield compare(FILTER, ours, theirs, "testpmd_bpf", count)
