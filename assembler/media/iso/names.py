"""Identifiers of ISO 9660: the names for boot loaders and readers without Rock Ridge."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_DISALLOWED = re.compile(rb"[^A-Z0-9_]")
_MAX_NAME = 30
_MAX_EXTENSION = 12
# Room for a number that makes an identifier unique.
_NUMBER_ROOM = 7


def identifiers(names: Iterable[tuple[bytes, bool]]) -> dict[bytes, bytes]:
    """Return the identifiers of a directory's entries; each name comes with "is a directory"."""
    found: dict[bytes, bytes] = {}
    taken: set[bytes] = set()
    following: dict[bytes, int] = {}
    for name, is_directory in sorted(names):
        base, dot, extension = name.upper().rpartition(b".")
        if not base or not dot or is_directory:
            base, extension = name.upper(), b""
        base = _DISALLOWED.sub(b"_", base)
        extension = _DISALLOWED.sub(b"_", extension)[:_MAX_EXTENSION]
        tail = b"" if is_directory else b"." + extension + b";1"
        room = _MAX_NAME - len(extension)
        identifier = base[:room] + tail
        while identifier in taken:
            start = base[: room - _NUMBER_ROOM]
            number = following[start] = following.get(start, 0) + 1
            identifier = b"%s_%d%s" % (start, number, tail)
        taken.add(identifier)
        found[name] = identifier
    return found
