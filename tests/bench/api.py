"""Kinds api_lookup, api_load and api_dump: bpf(2) of a daemon through its socket and under `sluice exec`, beside the kernel's
own: one lookup in a hash, one load from an mmap'd array, and a dump of 100,000 entries by batches beside bpftool's."""
import os
import pathlib
import subprocess
import tempfile
import time

import rounds

ENTRIES = 100_000


class Daemon:
    def __init__(self, build, folder):
        self.build = build
        self.environment = dict(os.environ, SLUICE_SOCKET=f"{folder}/sock")
        config = pathlib.Path(folder) / "api.yaml"
        config.write_text(f"api: {{socket: {folder}/sock}}\n")
        self.process = subprocess.Popen([str(build / "sluice"), "run", str(config)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(300):
            if os.path.exists(f"{folder}/sock"):
                return
            time.sleep(0.1)
        raise SystemExit("api: the daemon does not serve its socket")

    def contestants(self, what, counts):
        """name -> function that measures `what` once; those that cannot are told in the second result."""
        client = str(self.build / "tests/bench/bpf_client")
        commands = {"sluice": [client, "socket", what, str(counts["sluice"])],
                    "exec": [str(self.build / "sluice"), "exec", "--", client, "syscall", what, str(counts["exec"])],
                    "linux": [client, "syscall", what, str(counts["linux"])]}
        if what == "dump":
            commands["bpftool"] = [client, "syscall", "bpftool", str(counts["linux"])]
        found, absent = {}, []
        for name, command in commands.items():
            def run(command=command):
                return subprocess.run(command, capture_output=True, text=True, env=self.environment)
            first = run()
            if first.returncode == 0:
                found[name] = lambda run=run: float(run().stdout)
            else:
                absent.append(f"{name}: {first.stderr.strip()}")
        return found, absent


def rows(build, full):
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(build, folder)
        scale = 5 if full else 1
        kinds = [("api_lookup", "hash of 1,000, one lookup", "lookup", "ns", {"sluice": 20_000, "exec": 10_000, "linux": 200_000}),
                 ("api_load", "mmap'd array, one load", "load", "ns", dict.fromkeys(("sluice", "exec", "linux"), 20_000_000)),
                 ("api_dump", f"{ENTRIES} entries by batch", "dump", "ns", dict.fromkeys(("sluice", "exec", "linux"), ENTRIES))]
        try:
            for kind, name, what, unit, counts in kinds:
                factor = 1 if what == "dump" else scale
                found, absent = daemon.contestants(what, {who: count * factor for who, count in counts.items()})
                yield rounds.row(kind, name, unit, rounds.measure(found, 9 if full else 5), absent)
        finally:
            daemon.process.terminate()
            daemon.process.wait()
