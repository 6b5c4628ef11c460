"""PyTorch for the CPU: writes stand-ins for the libraries of CUDA, where there is no GPU.

    .venv/bin/python requirements/cpu_torch.py

Package indexes have PyTorch for Linux only as it is built for a GPU: it does not load without the
libraries of CUDA, 3 GB of which a CPU runs nothing. A stand-in lies beside PyTorch's own libraries,
has each name that they ask it for, and answers every call with "no device", as CUDA does without a
GPU. CUDA's own libraries are found before it once they are installed. At the end PyTorch must
start and compute; exit code 1 if it does not. Where PyTorch starts anyway, nothing is written.
"""

import mmap
import platform
import struct
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

NO_DEVICE = 100  # cudaErrorNoDevice and CUDA_ERROR_NO_DEVICE; an error for the other libraries, too
TEXT = b"the libraries of CUDA are not installed; run `make setup GPU=1`\0"
OF_CUDA = ("libcu", "libnccl", "libnv")  # how the names of those libraries begin
DRIVER = "libcuda.so.1"  # comes with the driver; PyTorch loads it only for a GPU
THEIRS = ("cu", "nccl", "nv")  # and those of their functions
PROOF = """
import torch
matrix = torch.tensor([[4.0, 1.0], [1.0, 3.0]])  # of determinant 11
assert torch.equal(matrix @ matrix, torch.tensor([[17.0, 7.0], [7.0, 10.0]]))
assert torch.allclose(torch.linalg.inv(matrix) * 11, torch.tensor([[3.0, -1.0], [-1.0, 4.0]]))
weight = torch.ones(2, requires_grad=True)
torch.nn.functional.linear(matrix, weight).square().sum().backward()
assert torch.equal(weight.grad, torch.tensor([48.0, 34.0]))
"""

PAGE = 4096
GLOBAL_FUNCTION, WEAK = 0x12, 2
DYNAMIC, DYNSYM, VERNEED, VERSYM = 6, 11, 0x6FFFFFFE, 0x6FFFFFFF  # kinds of sections
NEEDED, UNVERSIONED = 1, 1


class Machine(NamedTuple):
    """A processor: its number in ELF, and the code that gives NO_DEVICE, or the text after it."""

    number: int
    no_device: bytes
    text: bytes


MACHINES = {
    # mov eax, 100; ret              lea rax, [rip + 1]; ret
    "x86_64": Machine(62, bytes.fromhex("b864000000c3"), bytes.fromhex("488d0501000000c3")),
    # mov w0, 100; ret               adr x0, 8; ret
    "aarch64": Machine(183, bytes.fromhex("800c8052c0035fd6"), bytes.fromhex("40000010c0035fd6")),
}


def main() -> int:
    """Write the stand-ins if PyTorch needs them; 0 if it starts then."""
    if starts():
        return 0
    folder = Path(sysconfig.get_paths()["platlib"]) / "torch" / "lib"
    for name, symbols in wanted(sorted(folder.glob("*.so*"))).items():
        (folder / name).write_bytes(stand_in(name, symbols, MACHINES[platform.machine()]))
    return 0 if starts() else 1


def starts() -> bool:
    """Whether PyTorch can be imported, and computes."""
    proof = [sys.executable, "-c", PROOF]
    return subprocess.run(proof, capture_output=True, check=False).returncode == 0


class Symbol(NamedTuple):
    """A name that a library asks another for, and the version of it that it asks for, if any."""

    name: str
    version: str


def wanted(libraries: Iterable[Path]) -> dict[str, set[Symbol]]:
    """What each missing library of CUDA is asked for."""
    asked: dict[str, set[Symbol]] = defaultdict(set)
    defined, unnamed = set(), set()  # in PyTorch itself; asked of whichever library has it
    for path in libraries:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            library = Library(content)
            for name in library.needed():
                if name.startswith(OF_CUDA):
                    asked[name] |= set()
            for symbol, is_defined, owner in library.symbols():
                if owner.startswith(OF_CUDA):
                    asked[owner].add(symbol)
                elif symbol.name.startswith(THEIRS):
                    (defined if is_defined else unnamed).add(symbol)
    unnamed -= defined  # cunmqr is of LAPACK, and PyTorch has it
    return {name: symbols | unnamed for name, symbols in asked.items() if name != DRIVER}


class Library:
    """Reads the tables of a shared library (ELF, 64 bits)."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        (table,) = struct.unpack_from("<Q", content, 40)
        size, count = struct.unpack_from("<HH", content, 58)
        headers = [
            struct.unpack_from("<IIQQQQIIQQ", content, table + size * n) for n in range(count)
        ]
        self._strings = headers  # of the section that `link` names
        self._sections = {header[1]: header for header in headers}

    def needed(self) -> list[str]:
        """The libraries that it needs."""
        return [
            self._string(DYNAMIC, value)
            for tag, value in struct.iter_unpack("<QQ", self._bytes(DYNAMIC))
            if tag == NEEDED
        ]

    def symbols(self) -> Iterator[tuple[Symbol, bool, str]]:
        """The names that it has or asks for; whether it has it; and of which library it asks it."""
        versions = dict(self._versions())
        table = self._bytes(DYNSYM)
        symbols = struct.iter_unpack("<IBBHQQ", table)
        numbers = struct.iter_unpack("<H", self._bytes(VERSYM) or b"\1\0" * (len(table) // 24))
        for (name, info, _, section, _, _), (number,) in zip(symbols, numbers, strict=True):
            if name and (section or info >> 4 != WEAK):
                version, owner = versions.get(number & 0x7FFF, ("", ""))
                yield Symbol(self._string(DYNSYM, name), version), bool(section), owner

    def _versions(self) -> Iterator[tuple[int, tuple[str, str]]]:
        """Each version by its number, with the library that has it."""
        table, at, more = self._bytes(VERNEED), 0, True
        while more and table:
            _, count, file, first, step = struct.unpack_from("<HHIII", table, at)
            entry = at + first
            for _ in range(count):
                _, _, number, name, following = struct.unpack_from("<IHHII", table, entry)
                yield number, (self._string(VERNEED, name), self._string(VERNEED, file))
                entry += following
            at, more = at + step, bool(step)

    def _bytes(self, kind: int) -> bytes:
        if kind not in self._sections:
            return b""
        _, _, _, _, offset, size, *_ = self._sections[kind]
        return self._content[offset : offset + size]

    def _string(self, kind: int, at: int) -> str:
        link = self._sections[kind][6]
        start = self._strings[link][4] + at
        return self._content[start : self._content.find(b"\0", start)].decode()


def stand_in(soname: str, symbols: set[Symbol], machine: Machine) -> bytes:
    """A shared library of this name in which every symbol is a function that finds no device."""
    ordered = sorted(symbols)
    versions = sorted({symbol.version for symbol in ordered} - {""})
    strings = Strings()
    offset = 64 + 4 * 56  # after the header and its four segments

    def place(table: bytes) -> int:
        nonlocal offset
        at, padding = offset, -len(table) % 8
        tables.append(table + bytes(padding))
        offset += len(table) + padding
        return at

    tables: list[bytes] = []
    no_device = place(machine.no_device)
    text = place(machine.text + TEXT)
    symtab = [bytes(24)]
    for symbol in ordered:
        code = text if symbol.name.endswith(("ErrorString", "ErrorName")) else no_device
        entry = (strings.add(symbol.name), GLOBAL_FUNCTION, 0, 1, code, 8)
        symtab.append(struct.pack("<IBBHQQ", *entry))
    versym = [0, *(versions.index(s.version) + 2 if s.version else UNVERSIONED for s in ordered)]
    definitions = b"".join(
        struct.pack("<HHHHIII", 1, not n, n + 1, 1, elf_hash(name), 20, 28 * (n < len(versions)))
        + struct.pack("<II", strings.add(name), 0)
        for n, name in enumerate([soname, *versions])
    )
    own_name = strings.add(soname)
    dynamic = [
        (14, own_name),  # DT_SONAME
        (4, place(hash_table([symbol.name for symbol in ordered]))),  # DT_HASH
        (6, place(b"".join(symtab))),  # DT_SYMTAB
        (11, 24),  # DT_SYMENT
        (0x6FFFFFF0, place(struct.pack(f"<{len(versym)}H", *versym))),  # DT_VERSYM
        (0x6FFFFFFC, place(definitions)),  # DT_VERDEF
        (0x6FFFFFFD, 1 + len(versions)),  # DT_VERDEFNUM
        (5, place(bytes(strings))),  # DT_STRTAB
        (10, len(bytes(strings))),  # DT_STRSZ
        (0, 0),
    ]
    last = b"".join(struct.pack("<QQ", *entry) for entry in dynamic)
    start = -(-offset // PAGE) * PAGE  # a page of its own: the loader writes there
    segments = [
        (1, 5, 0, offset, PAGE),  # what is read and run
        (1, 6, start, len(last), PAGE),
        (2, 6, start, len(last), 8),  # PT_DYNAMIC
        (0x6474E551, 6, 0, 0, 16),  # PT_GNU_STACK: no code on the stack
    ]
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, machine.number, 1, 0, 64, 0, 0, 64, 56, len(segments), 64, 0, 0
    )
    header += b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, at, at, at, size, size, align)
        for kind, flags, at, size, align in segments
    )
    return (header + b"".join(tables)).ljust(start, b"\0") + last


class Strings:
    """A table of strings, each ended by a zero."""

    def __init__(self) -> None:
        self._content = bytearray(1)

    def add(self, text: str) -> int:
        """Where it is."""
        at = len(self._content)
        self._content += text.encode() + b"\0"
        return at

    def __bytes__(self) -> bytes:
        return bytes(self._content)


def hash_table(names: list[str]) -> bytes:
    """The table by which the loader finds the symbols, which follow an empty one in this order."""
    buckets, chain = [0] * (len(names) or 1), [0] * (len(names) + 1)
    for number, name in enumerate(names, start=1):
        bucket = elf_hash(name) % len(buckets)
        buckets[bucket], chain[number] = number, buckets[bucket]
    words = [len(buckets), len(chain), *buckets, *chain]
    return struct.pack(f"<{len(words)}I", *words)


def elf_hash(name: str) -> int:
    """The hash of ELF's hash tables and versions."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high
    return value


if __name__ == "__main__":
    sys.exit(main())
