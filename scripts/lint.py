#!/usr/bin/env python3
"""The rules a compiler does not hold: who may include whom, and what the packet path may not name (docs/STYLE.md)."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A layer may include itself and those listed. docs/ARCHITECTURE.md has the picture.
ISA = {"base", "bpf/isa"}
MAPS = ISA | {"bpf/maps"}
HELPERS = MAPS | {"bpf/helpers", "bpf/progs"}  # bodies need the packet context
PROGS = HELPERS
ENGINE = PROGS
OBJECT = ENGINE | {"bpf/verifier", "bpf/interp", "bpf/jit", "bpf/object"}
SURFACE = OBJECT | {"bpf/surface"}
CLIENT = {"base", "bpf/surface", "bpf/client"}  # of the surface, process.hpp alone
LOADER = SURFACE | {"bpf/client", "bpf/loader"}
MAY_INCLUDE = {
    "base": {"base"},
    "bpf/isa": ISA,
    "bpf/maps": MAPS,
    "bpf/helpers": HELPERS,
    "bpf/progs": PROGS,
    "bpf/verifier": ENGINE | {"bpf/verifier"},
    "bpf/interp": ENGINE | {"bpf/interp"},
    "bpf/jit": ENGINE | {"bpf/jit"},
    "bpf/object": OBJECT,
    "bpf/surface": SURFACE,
    "bpf/client": CLIENT,
    "bpf/loader": LOADER,
    "dataplane": LOADER | {"dataplane"},
    "config": {"base", "config"},
    "control": LOADER | {"dataplane", "config", "control"},
    "cli": LOADER | {"dataplane", "config", "control", "cli"},
}

WIDTH = 100  # of .clang-format

# Files that run once a packet or once a burst, and what they may not name.
PACKET_PATH = [
    "bpf/helpers/bodies.hpp", "bpf/progs/sk_buff.hpp", "bpf/progs/packet_context.hpp",
    "bpf/jit/runtime.cpp", "bpf/maps/*_ops.hpp", "bpf/maps/hash_count.hpp",
    "bpf/maps/hash_find.hpp", "bpf/maps/hash_free.hpp", "bpf/maps/private_copies.hpp",
    "bpf/progs/chain_step.hpp", "bpf/interp/interp.cpp", "bpf/interp/alu.cpp",
    "bpf/interp/memory.cpp", "dataplane/worker.cpp", "dataplane/segments.cpp",
    "dataplane/queue.cpp",
]
BANNED = re.compile(r"\b(new|delete|malloc|calloc|free|std::string|push_back|emplace_back|resize|reserve|std::mutex|lock_guard|unique_lock|throw|try"
                    r"|log_info|log_warning|log_error|log_debug|printf|fopen|std::cout|std::cerr)\b")


def layer_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "bpf" else parts[0]


def check_includes(path, text, faults):
    allowed = MAY_INCLUDE.get(layer_of(path))
    if allowed is None:
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#include\s+["<]([^">]+)[">]', line)
        if not match:
            continue
        target = match.group(1)
        if path.startswith("bpf/") and target.startswith("rte_"):
            faults.append(f"{path}:{number}: {target}: no DPDK header in bpf/")
        layer = layer_of(target)
        if layer in MAY_INCLUDE and layer not in allowed:
            faults.append(f"{path}:{number}: {layer_of(path)} may not include {layer}")


def check_packet_path(path, text, faults):
    if not any(pathlib.PurePath(path).match(pattern) for pattern in PACKET_PATH):
        return
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("//")[0]
        code = re.sub(r'^\s*#.*', "", code).replace("= delete", "")
        match = BANNED.search(code)
        if match:
            faults.append(f"{path}:{number}: {match.group(1)}: not on the packet path")


def check_width(path, text, faults):
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > WIDTH:
            faults.append(f"{path}:{number}: {len(line)} columns, more than {WIDTH}")


def main():
    command = ["git", "ls-files", "-co", "--exclude-standard", "*.hpp", "*.cpp", "*.h", "*.c"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                            check=True).stdout.split()
    faults = []
    for path in listed:
        text = (ROOT / path).read_text(encoding="utf-8")
        check_includes(path, text, faults)
        check_packet_path(path, text, faults)
        check_width(path, text, faults)
    for fault in faults:
        print(f"lint: {fault}", file=sys.stderr)
    print(f"lint: {len(listed)} files, {len(faults)} faults")
    return 1 if faults else 0


sys.exit(main())
