"""Kind scrape: a worker's time a packet while its map of 100,000 flows is scraped every second, against the same worker left
alone. One port fills the map from a capture of that many flows, once; the other repeats some of them without end (net_pcap's
infinite_rx keeps each packet of its capture in an mbuf, so that it cannot be all)."""
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import time
import urllib.request

import rounds
from replay import HEADER

FLOWS = 100_000
REPEATED = 512
WINDOW_SECONDS = 2.0


def make_capture(path, flows):
    with open(path, "wb") as out:
        out.write(HEADER)
        for flow in range(flows):
            ip = struct.pack(">BBHHHBBHII", 0x45, 0, 50, 0, 0, 64, 17, 0, 0x0A000000 + flow, 0xC0A80001)
            data = (bytes(12) + b"\x08\x00" + ip + struct.pack(">HHHH", 1024 + flow % 60000, 53, 30, 0)).ljust(64, b"\0")
            out.write(struct.pack("<IIII", 0, 0, len(data), len(data)) + data)


CONFIG = """eal: {{memory_mb: 512, hugepages: never, cores: [0, 1]}}
ports:
  - {{name: in, device: "net_pcap0,rx_pcap={folder}/some.pcap,infinite_rx=1"}}
  - {{name: fill, device: "net_pcap1,rx_pcap={folder}/all.pcap"}}
programs:
  - {{name: flows, object: "{folder}/sources.bpf.o"}}
attach:
  - {{port: in, programs: [flows], drop: true}}
  - {{port: fill, programs: [flows], drop: true}}
metrics:
  listen: 127.0.0.1:0
  counters:
    - name: flow_packets_total
      help: Packets a source.
      map: flows/flows
      labels: [{{name: source, size: 4, decoders: [{{name: uint}}]}}]
"""


class Worker:
    def __init__(self, sluice, folder):
        config = pathlib.Path(folder) / "scrape.yaml"
        make_capture(f"{folder}/all.pcap", FLOWS)
        make_capture(f"{folder}/some.pcap", REPEATED)
        source = pathlib.Path(__file__).parent / "programs/sources.bpf.c"
        subprocess.run(["clang-19", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-isystem", "/usr/include/x86_64-linux-gnu", "-I",
                        str(source.parents[3] / "bpf/programs"), "-c", str(source), "-o", f"{folder}/sources.bpf.o"], check=True)
        config.write_text(CONFIG.format(folder=folder))
        self.log = open(f"{folder}/log", "w+")
        self.process = subprocess.Popen([sluice, "run", str(config)], stderr=self.log, stdout=subprocess.DEVNULL)
        for _ in range(300):
            text = pathlib.Path(f"{folder}/log").read_text()
            if "ready:" in text:
                break
            if self.process.poll() is not None:
                raise SystemExit(f"scrape: sluice ends: {text}")
            time.sleep(0.1)
        self.address = re.search(r"http://[0-9.:]*/metrics", text).group()
        while self.scrape().count("flow_packets_total{") < FLOWS:
            time.sleep(0.5)
        self.thread = rounds.busiest_thread(self.process.pid)

    def scrape(self):
        return urllib.request.urlopen(self.address, timeout=60).read().decode()

    def figures(self):
        """The worker thread's CPU time, in seconds, and packets."""
        packets = [float(line.split()[1]) for line in self.scrape().splitlines()
                   if line.startswith("sluice_worker_packets_total{")]
        return rounds.thread_seconds(self.process.pid, self.thread), packets[0]

    def ns_a_packet(self, scraped):
        """Both kinds pay for the two scrapes that bound the window."""
        seconds, packets = self.figures()
        end = time.monotonic() + WINDOW_SECONDS
        while time.monotonic() < end:
            if scraped:
                self.scrape()
            time.sleep(1)
        seconds_after, packets_after = self.figures()
        return (seconds_after - seconds) * 1e9 / (packets_after - packets)


def rows(build, full):
    if os.geteuid() != 0:
        yield rounds.row("scrape", f"{FLOWS} entries", "", {}, ["sluice: not root"])
        return
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(str(build / "sluice"), folder)
        try:
            values = rounds.measure({"sluice": lambda: worker.ns_a_packet(True), "quiet": lambda: worker.ns_a_packet(False)},
                                    9 if full else 5)
        finally:
            worker.process.terminate()
            worker.process.wait()
        yield rounds.row("scrape", f"{FLOWS} entries", "ns/packet", values)
