#!/usr/bin/env python3
"""Every benchmark, beside its peers, in one run: run.py [--full] [--kind KIND]... BUILD

Shows each row as it is measured, closes with the geometric mean of sluice / peer a kind against its target, and writes
BUILD/bench.json: a list of {"kind", "name", "unit", "sluice", "peers": {...}}, times, lower is better. BUILD/bench.md has
the same as tables, for docs/benchmarks.md."""
import argparse
import json
import math
import pathlib
import subprocess
import sys

import api
import forward
import replay
import scrape

# Kinds that run in tests/bench/sluice_bench, in one process each, and those that run whole programs.
IN_PROCESS = ["filter", "program", "map_lookup", "map_update", "load", "verify", "hardening",
              "counters"]
WHOLE = {"replay": replay.rows, "forward": forward.rows, "scrape": scrape.rows, "api": api.rows}

# kind, peer, group of rows ("" is all): the geometric mean of sluice / peer is to be at most this.
TARGETS = [("program", "native", "", 1.10), ("program", "native", "with maps", 1.05), ("program", "linux", "", 0.25),
           ("program", "linux_net", "", 0.8), ("filter", "native", "", 1.10), ("filter", "rte_bpf", "", 0.5),
           ("filter", "libpcap", "", 0.25), ("filter_mbuf", "rte_bpf", "", 0.7), ("map_lookup", "rte_hash", "hash", 0.6),
           ("map_lookup", "linux", "", 0.6), ("map_lookup_burst", "rte_hash_bulk", "", 1.0),
           ("map_update", "rte_hash", "", 0.6), ("map_update", "linux", "", 0.7), ("replay_count", "tcpdump", "", 1.3),
           ("replay_write", "tcpdump", "", 0.9), ("forward", "testpmd", "", 1.12), ("forward", "testpmd_bpf", "", 0.8),
           ("scrape", "quiet", "", 1.01), ("verify", "linux", "", 1.0)]
# No single row of these may be above.
ROW_TARGETS = {("program", "linux_net"): 1.1}


def in_process(build, kind, full):
    command = [str(build / "tests/bench/sluice_bench")] + (["--full"] if full else []) + [kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=build)
    for line in process.stdout:
        yield json.loads(line)
    if process.wait() != 0:
        sys.exit(f"{kind}: sluice_bench failed")


def show(row):
    values = row["values"]
    text = "  ".join(f"{name} {median:.4g} ±{spread * 100:.0f} %" for name, (median, spread) in values.items())
    ratios = ""
    if "sluice" in values:
        ours = values["sluice"][0]
        ratios = "  ".join(f"/{name} {ours / median:.2f}" for name, (median, _) in values.items()
                           if name != "sluice" and median > 0)
    print(f"{row['kind']:<17}{row['name'][:46]:<47}{row['unit']:<10} {text}   {ratios}")
    for reason in row["absent"]:
        print(f"{'':<17}  absent: {reason}")
    sys.stdout.flush()


def mean(rows, kind, peer, group):
    logs = [math.log(row["values"]["sluice"][0] / row["values"][peer][0]) for row in rows
            if row["kind"] == kind and peer in row["values"] and "sluice" in row["values"] and group in ("", row["group"])]
    return (math.exp(sum(logs) / len(logs)), len(logs)) if logs else (None, 0)


def means(rows):
    """(kind, peer, rows, mean, target) of each target that has rows."""
    for kind, peer, group, target in TARGETS:
        ratio, count = mean(rows, kind, peer, group)
        if ratio is not None:
            yield kind + (f", {group}" if group else ""), peer, count, ratio, target


def single_misses(rows):
    return [f"{row['kind']}: {row['name']}: over {most} of {peer}" for row in rows for (kind, peer), most in ROW_TARGETS.items()
            if row["kind"] == kind and peer in row["values"] and row["values"]["sluice"][0] / row["values"][peer][0] > most]


def summary(rows):
    print(f"\n{'kind':<27}{'peer':<16}{'rows':>5}{'mean':>8}{'target':>8}")
    for kind, peer, count, ratio, target in means(rows):
        print(f"{kind:<27}{peer:<16}{count:>5}{ratio:>8.3f}{target:>8.2f}  {'met' if ratio <= target else 'MISSED'}")
    for miss in single_misses(rows):
        print(f"{miss}: MISSED")


def write_markdown(path, rows):
    lines = ["| kind | peer | rows | mean of sluice / peer | target | |", "|---|---|---|---|---|---|"]
    for kind, peer, count, ratio, target in means(rows):
        lines.append(f"| {kind} | `{peer}` | {count} | {ratio:.3f} | {target:.2f} | {'met' if ratio <= target else '**missed**'} |")
    lines += ["", *(f"{miss}: **missed**  " for miss in single_misses(rows))]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        names = list(dict.fromkeys(name for row in of_kind for name in row["values"]))
        lines += ["", f"### {kind}", "", "| | unit | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
        for row in of_kind:
            cells = [f"{row['values'][name][0]:.4g}" if name in row["values"] else "" for name in names]
            lines.append(f"| {row['name'].replace('|', chr(92) + '|')} | {row['unit']} | " + " | ".join(cells) + " |")
        lines += ["", *dict.fromkeys(f"Absent: {reason}  " for row in of_kind for reason in row["absent"])]
    path.write_text("\n".join(lines) + "\n")


def write_json(path, rows):
    table = [{"kind": row["kind"], "name": row["name"], "unit": row["unit"], "sluice": row["values"]["sluice"][0],
              "peers": {name: value[0] for name, value in row["values"].items() if name != "sluice"}}
             for row in rows if "sluice" in row["values"]]
    path.write_text("[\n" + ",\n".join("  " + json.dumps(row) for row in table) + "\n]\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--full", action="store_true", help="more and longer rounds, larger tables")
    parser.add_argument("--kind", action="append", choices=IN_PROCESS + list(WHOLE), help="this one only; may be repeated")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    rows = []
    for kind in arguments.kind or IN_PROCESS + list(WHOLE):
        source = in_process(build, kind, arguments.full) if kind in IN_PROCESS else WHOLE[kind](build, arguments.full)
        for row in source:
            show(row)
            rows.append(row)
    summary(rows)
    write_json(build / "bench.json", rows)
    write_markdown(build / "bench.md", rows)


if __name__ == "__main__":
    main()
