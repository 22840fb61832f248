"""Names in FAT directories: valid ones, their short forms, and entries of long ones."""

from __future__ import annotations

import struct

from assembler.codes import output as codes
from assembler.errors import OutputError

_FORBIDDEN = frozenset('"*/:<>?\\|')
_NOT_SHORT = frozenset("+,;=[] .")
_MAX_LENGTH = 255
_UNITS_PER_ENTRY = 13
_MAX_TAILS = 1_000_000


def check_path(path: str) -> None:
    """Refuse a path with a name that FAT does not allow."""
    for name in path.split("/"):
        wrong = (
            not name
            or name != name.rstrip(" .")
            or len(name.encode("utf-16-le", "surrogatepass")) > 2 * _MAX_LENGTH
            or any(c in _FORBIDDEN or ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name)
        )
        if wrong:
            raise OutputError.of(
                codes.BAD_NAME,
                f"FAT does not allow a file of the name {path!r}",
                'names have none of "*/:<>?\\|, no dot or blank at the end, and at most '
                "255 characters",
            )


def fold_case(name: str) -> str:
    """Return a name in the form in which FAT compares names."""
    return name.upper()


def short_name(name: str, taken: set[bytes]) -> tuple[bytes, bool]:
    """Return the 11 bytes of a short name, and whether they are the whole name.

    The short name is added to those taken in the directory.
    """
    stem, dot, extension = name.upper().rpartition(".")
    if not dot or not stem:
        stem, extension = name.upper().lstrip("."), ""
    base, tail = _short_characters(stem), _short_characters(extension)
    fits = 0 < len(base) <= 8 and len(tail) <= 3
    if fits and name in (f"{base}.{tail}", base):
        found = _pack_name(base, tail)
        if found not in taken:
            taken.add(found)
            return found, True
    if fits and (base, tail) == (stem, extension):
        # The name differs only in case.
        found = _pack_name(base, tail)
        if found not in taken:
            taken.add(found)
            return found, False
    for number in range(1, _MAX_TAILS):
        end = f"~{number}"
        found = _pack_name((base or "FILE")[: 8 - len(end)] + end, tail[:3])
        if found not in taken:
            taken.add(found)
            return found, False
    raise OutputError.of(codes.TOO_LARGE, f"too many files have names like {name}")


def _short_characters(text: str) -> str:
    return "".join(c for c in text if 32 < ord(c) < 127 and c not in _NOT_SHORT)


def _pack_name(base: str, extension: str) -> bytes:
    return (base.ljust(8) + extension.ljust(3)).encode("ascii")


def long_name_entries(name: str, short_name: bytes) -> bytes:
    """Return the entries of a long name, which come before the entry of the short one."""
    checksum = 0
    for byte in short_name:
        checksum = ((checksum & 1) << 7) + (checksum >> 1) + byte & 0xFF
    units = name.encode("utf-16-le")
    count = -(-len(units) // (2 * _UNITS_PER_ENTRY))
    if len(units) % (2 * _UNITS_PER_ENTRY):
        units += b"\0\0"
    units = units.ljust(count * 2 * _UNITS_PER_ENTRY, b"\xff")
    entries = []
    for number in range(count, 0, -1):
        part = units[(number - 1) * 2 * _UNITS_PER_ENTRY : number * 2 * _UNITS_PER_ENTRY]
        order = number | (0x40 if number == count else 0)
        entries.append(
            struct.pack(
                "<B10sBBB12sH4s", order, part[:10], 0x0F, 0, checksum, part[10:22], 0, part[22:]
            )
        )
    return b"".join(entries)
