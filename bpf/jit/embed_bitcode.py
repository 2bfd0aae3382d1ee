"""Writes a C++ source that holds a file's bytes: embed_bitcode.py INPUT OUTPUT."""

import sys

data = open(sys.argv[1], "rb").read()
rows = [data[i : i + 64] for i in range(0, len(data), 64)]
with open(sys.argv[2], "w", encoding="ascii") as out:
    out.write('#include "bpf/jit/runtime_bitcode.hpp"\n\nnamespace sluice::bpf::jit {\nnamespace {\n')
    out.write("alignas(8) constexpr unsigned char kBitcode[] = {\n")
    for row in rows:
        out.write("".join(f"{byte}," for byte in row) + "\n")
    out.write("};\n}  // namespace\n\nstd::string_view runtime_bitcode() {\n")
    out.write("  return {reinterpret_cast<const char*>(kBitcode), sizeof kBitcode};\n}\n\n")
    out.write("}  // namespace sluice::bpf::jit\n")
