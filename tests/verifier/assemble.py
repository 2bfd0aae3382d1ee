#!/usr/bin/env python3
"""Assembles verifier cases: assemble.py CLANG OUT.h FILE.case...

Writes a C++ header with one row a case. All cases go through clang in one run, each as a section of its own."""
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS = {"hash": 1, "array": 2, "prog_array": 3, "perf_event_array": 4, "percpu_hash": 5, "percpu_array": 6,
         "stack_trace": 7, "lru_hash": 9, "lru_percpu_hash": 10, "lpm_trie": 11, "devmap": 14, "cpumap": 16, "queue": 22,
         "stack": 23, "ringbuf": 27, "bloom": 30}
TYPES = {"socket_filter": 1, "kprobe": 2, "sched_cls": 3, "tracepoint": 5, "xdp": 6}


def parse(path):
    """Yields a dict for each case of a file."""
    case, code, in_code = None, [], False
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        where = f"{path}:{number}"
        if in_code:
            if line.strip() == "===":
                case["code"] = code
                yield case
                case, code, in_code = None, [], False
            else:
                code.append(line)
        elif line.strip() == "---":
            in_code = True
        elif line.strip() and not line.startswith("#"):
            if case is None:
                case = {"maps": [], "where": where, "gpl": True, "strict": False, "kernel": "", "log": "",
                        "type": 1, "runs": []}
            key, _, value = line.partition(":")
            field(case, key.strip(), value.strip(), where)
    if case is not None:
        sys.exit(f"{path}: the last case has no end (===)")


def field(case, key, value, where):
    if key == "name":
        case["name"] = value
    elif key == "expect":
        verdict, _, fragment = value.partition(" ")
        if verdict not in ("accept", "reject"):
            sys.exit(f"{where}: expect: accept or reject")
        case["accept"], case["fragment"] = verdict == "accept", fragment
    elif key == "map":
        kind, *numbers = value.split()
        case["maps"].append([KINDS[kind]] + [int(n, 0) for n in numbers] + [0] * (4 - len(numbers)))
    elif key == "licence":
        case["gpl"] = value != "none"
    elif key == "flags":
        case["strict"] = value == "strict"
    elif key in ("kernel", "log"):
        case[key] = value
    elif key == "type":
        case["type"] = TYPES[value]
    elif key == "run":
        # BYTES [HEX] = RESULT: a packet of so many bytes that begins with those given, the rest zero.
        packet, _, result = value.partition("=")
        length, *digits = packet.split()
        data = bytes.fromhex("".join(digits))
        case["runs"].append((int(length), data + bytes(int(length) - len(data)), int(result, 0)))
    else:
        sys.exit(f"{where}: unknown key {key}")


def translate(case):
    """Source lines with our pseudo-instructions as raw bytes."""
    out = []
    for line in case["code"]:
        text = line.split("//")[0].strip()
        wide = re.fullmatch(r"r(\d+) = (map|value)\[(\d+)\](?:\+(\d+))?", text)
        if wide:
            reg, kind, index, offset = int(wide[1]), wide[2], int(wide[3]), int(wide[4] or 0)
            source = 1 if kind == "map" else 2
            out.append(raw(0x18, reg, source, 0, index) + "; " + raw(0, 0, 0, 0, offset))
        elif function := re.fullmatch(r"r(\d+) = function\[(\w+)\]", text):
            # A 64-bit immediate load of a subprogram's address (BPF_PSEUDO_FUNC).
            here = f"address{len(out)}"
            out.append(f"{here}: .byte 24, {int(function[1]) | 4 << 4}, 0, 0; .long ({function[2]} - {here}) / 8 - 1")
            out.append(raw(0, 0, 0, 0, 0))
        elif text.startswith(".raw"):
            out.append(raw(*(int(field, 0) for field in text.split()[1:])))
        elif text:
            out.append(text)
    return out


def raw(code, dst, src, off, imm):
    data = struct.pack("<BBhI", code, dst | src << 4, off, imm & 0xffffffff)
    return ".byte " + ", ".join(map(str, data))


def sections(elf):
    """Name -> bytes of an ELF64 file's sections."""
    (shoff,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    rows = [struct.unpack_from("<IIQQQQ", elf, shoff + i * size) for i in range(count)]
    table = rows[names][4]
    out = {}
    for name, _, _, _, offset, length in rows:
        end = elf.index(b"\0", table + name)
        out[elf[table + name:end].decode()] = elf[offset:offset + length]
    return out


def assemble(clang, cases):
    lines = []
    for number, case in enumerate(cases):
        translated = translate(case)
        # Labels are local to a case.
        labels = {m[1] for line in translated if (m := re.match(r"\s*(\w+):", line))}
        lines.append(f'.section case{number},"ax",@progbits')
        for line in translated:
            for label in labels:
                line = re.sub(rf"\b{label}\b", f"c{number}_{label}", line)
            lines.append(line)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "cases.s", Path(folder) / "cases.o"
        source.write_text("\n".join(lines) + "\n")
        done = subprocess.run([clang, "-target", "bpf", "-mcpu=v4", "-c", source, "-o", target],
                              capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return sections(target.read_bytes())


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def name_of(case):
    words = re.findall(r"[A-Za-z0-9]+", case["name"])
    return "".join(word[0].upper() + word[1:] for word in words)


def main():
    clang, out, *files = sys.argv[1:]
    cases = [case for path in files for case in parse(path)]
    code = assemble(clang, cases)
    rows, seen = [], {}
    for number, case in enumerate(cases):
        name = name_of(case)
        if name in seen:
            sys.exit(f"{case['where']}: same name as {seen[name]}")
        seen[name] = case["where"]
        maps = ", ".join("{%d, %d, %d, %d, %d}" % tuple(m) for m in case["maps"])
        words = struct.unpack(f"<{len(code[f'case{number}']) // 8}Q", code[f"case{number}"])
        runs = ", ".join("{{%s}, %du}" % (", ".join(map(str, data)), result & 0xffffffff) for _, data, result in case["runs"])
        rows.append("  {%s, %s, %s, %s, %s, %s, %s, %s, %d, {%s}, {%s}, {%s}}," % (
            quote(name), quote(case["where"]), str(case["accept"]).lower(), quote(case["fragment"]),
            str(case["gpl"]).lower(), str(case["strict"]).lower(), quote(case["kernel"]), quote(case["log"]), case["type"],
            maps, runs, ", ".join(f"{word:#x}ull" for word in words)))
    Path(out).write_text("// Made by assemble.py.\nconst std::vector<VerifierCase> kCases = {\n"
                         + "\n".join(rows) + "\n};\n")


main()
