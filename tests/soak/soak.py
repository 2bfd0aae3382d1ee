#!/usr/bin/env python3
"""soak.py SLUICE SECONDS: a daemon under everything at once, and nothing left of it afterwards.

In a network namespace of its own: two ports (a veth by af_packet, a net_null that never stops), packets on the veth, and
clients that load, attach, pin, look up, dump, test, scrape and query at random, most by `sluice` or under `sluice exec`,
some on the bare socket with garbage; a third of them is killed at a random moment. At the end all pins are removed, and the
daemon must have the programs, maps, links and descriptors that it began with, answer, have grown by less than GROWTH_KB,
and end at SIGTERM. The last line says what was done; the exit status is 0 if all is as it was, 77 where the machine does
not allow it. SLUICE_SEED chooses another sequence."""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

GROWTH_KB = 16 * 1024  # malloc's arenas and the map pages that were touched once
CLIENTS = 3
HERE = pathlib.Path(__file__).resolve().parent
RAW = HERE.parent / "smoke/clients/raw_bpf.py"
LINKS = HERE.parent / "smoke/clients/links.py"
CONFIG = """
eal: {{memory_mb: 64, hugepages: never}}
pins: {{directory: {folder}/pins}}
api: {{socket: {folder}/sock}}
ports:
  - {{name: wire, device: "net_af_packet0,iface=port0"}}
  - {{name: nowhere, device: "net_null0,size=64", idle_backoff: true}}
programs:
  - {{name: count, object: proto_count.bpf.o}}
  - {{name: web, filter: "tcp port 80"}}
attach:
  - {{port: wire, programs: [count, web], forward: nowhere}}
  - {{port: nowhere, programs: [web], drop: true}}
metrics:
  listen: 127.0.0.1:0
  counters:
    - {{name: packets_total, help: Packets., map: count/proto_packets, labels: [{{name: protocol, size: 4, decoders: [{{name: uint}}]}}]}}
"""


def skip(why):
    print(f"soak: skipped: {why}")
    sys.exit(77)


class Namespace:
    """A network namespace with the daemon's port0; its peer, eth0, is in another with the source of packets."""

    def __init__(self):
        self.names = [f"sluice-sk{side}-{os.getpid()}" for side in "dc"]
        daemon, client = self.names
        commands = [f"ip netns add {daemon}", f"ip netns add {client}", f"ip -n {daemon} link set lo up",
                    f"ip -n {daemon} link add port0 type veth peer name eth0 netns {client}",
                    f"ip -n {daemon} link set port0 up", f"ip -n {client} link set eth0 up",
                    f"ip -n {client} addr add 192.0.2.1/24 dev eth0",
                    f"ip -n {client} neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0"]
        for command in commands:
            done = subprocess.run(command.split(), capture_output=True, text=True)
            if done.returncode != 0:
                self.remove()
                skip(f"{command}: {done.stderr.strip()}")

    def command(self, words, side=0):
        return ["nsenter", f"--net=/run/netns/{self.names[side]}", *map(str, words)]

    def remove(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


class Daemon:
    def __init__(self, sluice, folder, namespace):
        self.sluice, self.folder = sluice, folder
        self.environment = dict(os.environ, SLUICE_SOCKET=f"{folder}/sock")
        config = folder / "soak.yaml"
        config.write_text(CONFIG.format(folder=folder))
        self.log = folder / "daemon.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(namespace.command([sluice, "run", config]), stdout=log, stderr=log)
        for _ in range(600):
            if "ready:" in self.log.read_text():
                break
            if self.process.poll() is not None:
                raise SystemExit(f"soak: the daemon does not start:\n{self.log.read_text()}")
            time.sleep(0.1)
        self.metrics = re.search(r"http://\S+", self.log.read_text())[0]

    def ask(self, *words):
        done = subprocess.run([self.sluice, "-j", *words], capture_output=True, text=True, env=self.environment)
        if done.returncode != 0:
            raise SystemExit(f"soak: {words}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def holdings(self):
        process = pathlib.Path(f"/proc/{self.process.pid}")
        return {"programs": sorted(each["id"] for each in self.ask("prog", "list")),
                "maps": sorted(each["id"] for each in self.ask("map", "list")),
                "links": sorted(each["id"] for each in self.ask("link", "list")),
                "descriptors": len(os.listdir(process / "fd"))}

    def memory_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def packets(self):
        return {port["name"]: int(port["rx_packets"]) for port in self.ask("port", "show")}


class Client(threading.Thread):
    """Acts until the time is over. What it starts is its own to end."""

    def __init__(self, number, daemon, namespace, until):
        super().__init__()
        seed = int(os.environ.get("SLUICE_SEED", "1")) * 1000 + number
        self.name_prefix, self.random = f"c{number}", random.Random(seed)
        self.daemon, self.namespace, self.until = daemon, namespace, until
        self.counts = dict.fromkeys(("done", "killed", "refused"), 0)
        self.made = 0
        self.faults = []

    def pin(self):
        self.made += 1
        return f"{self.daemon.folder}/pins/{self.name_prefix}_{self.made}"

    def any_pin(self):
        pins = [path for path in (self.daemon.folder / "pins").iterdir() if path.name.startswith(self.name_prefix)]
        return str(self.random.choice(pins)) if pins else self.pin()

    def words(self):
        sluice, exec_ = self.daemon.sluice, [self.daemon.sluice, "exec", "--"]
        thing = self.random.choice(["proto_count", "flow_count", "port_filter", "size_histogram"])
        program = sluice.parent / f"bpf/programs/{thing}.bpf.o"
        return self.random.choice([
            [sluice, "prog", "load", program, self.pin()],
            [sluice, "map", "create", self.pin(), "type", "hash", "key", "4", "value", "8", "entries", "10000", "name", "soak"],
            [sluice, "map", "update", "pinned", self.any_pin(), *"key 1 0 0 0 value 1 2 3 4 5 6 7 8".split()],
            [sluice, "map", "dump", "pinned", self.any_pin()],
            [sluice, "prog", "dump", "jited", "pinned", self.any_pin()],
            [sluice, "prog", "list"], [sluice, "map", "list"], [sluice, "metrics"], [sluice, "status"], [sluice, "chain", "show"],
            [*exec_, "python3", RAW, "soak_raw"],
            [*exec_, "python3", LINKS, "attach", "1", "1", str(self.random.random() / 5)],
            [*exec_, "python3", LINKS, "pin", "1", "65535", self.pin()],
            [*exec_, "python3", LINKS, "show"],
        ])

    def run_command(self):
        process = subprocess.Popen([str(word) for word in self.words()], env=self.daemon.environment,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        if self.random.random() < 0.3:
            time.sleep(self.random.random() / 4)
            os.killpg(process.pid, signal.SIGKILL)
            self.counts["killed"] += 1
        try:
            status = process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.faults.append(f"hangs: {process.args}")
            return
        # Many are refused, rightly: a pin of another kind, or one that a killed client did not make.
        if status > 0:
            self.counts["refused"] += 1

    def scrape(self):
        got = subprocess.run(self.namespace.command(["curl", "-sf", "--max-time", "60", self.daemon.metrics]),
                             capture_output=True, text=True)
        if "sluice_build_info" not in got.stdout:
            self.faults.append(f"scrape: curl ends with {got.returncode}")

    def garbage(self):
        with socket.socket(socket.AF_UNIX) as bare:
            bare.connect(f"{self.daemon.folder}/sock")
            try:
                bare.send(self.random.randbytes(self.random.randrange(1, 4096)))
            except (BrokenPipeError, ConnectionResetError):
                pass

    def remove_pin(self):
        pathlib.Path(self.any_pin()).unlink(missing_ok=True)

    def run(self):
        while time.monotonic() < self.until and self.daemon.process.poll() is None:
            self.random.choices([self.run_command, self.scrape, self.garbage, self.remove_pin], [10, 1, 2, 5])[0]()
            self.counts["done"] += 1


def settled(daemon, before):
    """What clients held goes when the daemon sees their end: it is given half a minute."""
    for _ in range(60):
        after = daemon.holdings()
        if after == before:
            break
        time.sleep(0.5)
    return after


def soak(daemon, namespace, seconds):
    warm_up = [Client(9, daemon, namespace, time.monotonic() + max(5, seconds / 10))]
    before = daemon.holdings()
    act(daemon, warm_up)
    memory = daemon.memory_kb()
    packets = daemon.packets()
    clients = [Client(number, daemon, namespace, time.monotonic() + seconds) for number in range(CLIENTS)]
    act(daemon, clients)
    if daemon.process.poll() is not None:
        return [f"the daemon ended: {daemon.process.returncode}\n{daemon.log.read_text()[-4000:]}"], ""
    faults = [fault for client in [*warm_up, *clients] for fault in client.faults]
    after = settled(daemon, before)
    faults += [f"{what}: {before[what]} before, {after[what]} after" for what in before if before[what] != after[what]]
    growth = daemon.memory_kb() - memory
    if growth > GROWTH_KB:
        faults.append(f"memory: {growth} kB more")
    received = {name: count - packets[name] for name, count in daemon.packets().items()}
    faults += [f"port {name} received nothing" for name, count in received.items() if count == 0]
    counts = {what: sum(client.counts[what] for client in clients) for what in clients[0].counts}
    return faults, (f"{counts['done']} actions, {counts['killed']} of them killed, {counts['refused']} refused; packets "
                    f"{received}; programs {len(after['programs'])}, maps {len(after['maps'])}, links {len(after['links'])}, "
                    f"descriptors {after['descriptors']} as at the start, memory {memory} kB {growth:+} kB")


def act(daemon, clients):
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    for pin in (daemon.folder / "pins").iterdir():
        if pin.name != ".store":
            pin.unlink()


def main():
    sluice, seconds = pathlib.Path(sys.argv[1]).resolve(), float(sys.argv[2])
    if os.geteuid() != 0:
        skip("needs root")
    for tool in ("ip", "nsenter", "ping", "curl"):
        if shutil.which(tool) is None:
            skip(f"no {tool}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice_soak_"))
    namespace = Namespace()
    daemon = source = None
    try:
        daemon = Daemon(sluice, folder, namespace)
        source = subprocess.Popen(namespace.command(["ping", "-q", "-i", "0.002", "192.0.2.2"], side=1),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        faults, summary = soak(daemon, namespace, seconds)
        daemon.process.terminate()
        if not faults and daemon.process.wait(timeout=60) != 0:
            faults.append(f"the daemon's exit status: {daemon.process.returncode}")
    finally:
        for process in (source, daemon and daemon.process):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        namespace.remove()
        shutil.rmtree(folder, ignore_errors=True)
    for fault in faults:
        print(f"soak: {fault}")
    print(f"soak: {'FAILED' if faults else 'passed'}: {seconds:.0f} s, {summary}")
    sys.exit(1 if faults else 0)


main()
