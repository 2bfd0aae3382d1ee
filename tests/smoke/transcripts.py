#!/usr/bin/env python3
"""One transcript, two systems: the sections of `transcript` by the kernel's bpf(2) and by sluice, line by line.

transcripts.py TRANSCRIPT DIFFERENCES [COMMAND...]: sluice's side is TRANSCRIPT --surface, or `COMMAND... TRANSCRIPT`.
A line may differ only where DIFFERENCES says so: "section | kernel's line | sluice's line | reason", the lines as regular
expressions. Exit status 77: the kernel lets nobody here use bpf(2).
"""
import difflib
import re
import subprocess
import sys


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="backslashreplace", check=True,
                          timeout=240).stdout


def sections(text):
    found = {}
    for line in text.splitlines():
        if line.startswith("== "):
            lines = found.setdefault(line[3:], [])
        else:
            lines.append(line)
    return found


def allowed_differences(path):
    rows = []
    for line in open(path):
        if line.strip() and not line.startswith("#"):
            section, kernel, sluice, reason = [part.strip() for part in line.split(" | ")]
            assert reason
            rows.append([section, re.compile(kernel), re.compile(sluice), False, line.strip()])
    return rows


def explained(rows, section, kernel, sluice):
    for row in rows:
        if row[0] == section and row[1].fullmatch(kernel) and row[2].fullmatch(sluice):
            row[3] = True
            return True
    return False


def compare(rows, name, kernel, sluice):
    faults = []
    for tag, k0, k1, s0, s1 in difflib.SequenceMatcher(None, kernel, sluice, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        pairs = list(zip(kernel[k0:k1], sluice[s0:s1]))
        if len(pairs) == k1 - k0 == s1 - s0 and all(explained(rows, name, *pair) for pair in pairs):
            continue
        faults += [f"{name}: after line {k0}:"] + ["  kernel: " + l for l in kernel[k0:k1]] + ["  sluice: " + l for l in sluice[s0:s1]]
    return faults


def main():
    transcript, differences, wrapper = sys.argv[1], sys.argv[2], sys.argv[3:]
    kernel = sections(run([transcript]))
    if "hash = fd" not in kernel["map-create"]:
        print("skipped: bpf(2) is not permitted here")
        return 77
    sluice = sections(run(wrapper + [transcript] if wrapper else [transcript, "--surface"]))
    rows = allowed_differences(differences)
    faults, lines = [], 0
    for name, expected in kernel.items():
        lines += len(expected)
        faults += compare(rows, name, expected, sluice.get(name, []))
    faults += ["a difference that is none any more: " + row[4] for row in rows if not row[3]]
    print("\n".join(faults))
    print(f"{lines} lines in {len(kernel)} sections, {sum(row[3] for row in rows)} kinds of difference")
    return 1 if faults else 0


sys.exit(main())
