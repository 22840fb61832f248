"""What the header of an ELF file says: architecture, and how a program is linked."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import wrap_os_errors

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"\x7fELF\x02\x01"
_MACHINES = {62: "amd64", 183: "arm64", 243: "riscv64"}
_EXECUTABLE, _SHARED = 2, 3
_INTERPRETER = 3
_HEADER = 64
_MAX_SEGMENTS = 100


@dataclass(frozen=True, slots=True)
class ElfFile:
    """An ELF file of 64 bits."""

    architecture: str
    is_program: bool
    # Without an interpreter, which loads shared libraries.
    is_static: bool


def describe_elf(path: Path) -> ElfFile | None:
    """Return the description of an ELF file; None for any other file."""
    if not path.is_file():
        return None
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        header = file.read(_HEADER)
        if len(header) < _HEADER or not header.startswith(_MAGIC):
            return None
        kind, machine = struct.unpack_from("<HH", header, 16)
        (offset,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(offset)
        table = file.read(size * min(count, _MAX_SEGMENTS))
        mode = path.stat().st_mode
    kinds = {
        struct.unpack_from("<I", table, at)[0] for at in range(0, len(table) - 3, max(size, 4))
    }
    if machine not in _MACHINES or kind not in (_EXECUTABLE, _SHARED):
        return None
    has_interpreter = _INTERPRETER in kinds
    # A shared library has no interpreter; a static program that can be moved has none, either.
    is_program = bool(mode & 0o111) and ".so" not in path.suffixes
    return ElfFile(_MACHINES[machine], is_program, not has_interpreter)
