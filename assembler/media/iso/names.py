"""Names as ISO 9660 has them: what boot loaders read, and whoever does not know Rock Ridge."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OTHER = re.compile(rb"[^A-Z0-9_]")
_LONGEST = 30
_LONGEST_EXTENSION = 12
# Room for a number that makes a name different.
_NUMBER = 7


def identifiers(names: Iterable[tuple[bytes, bool]]) -> dict[bytes, bytes]:
    """Return the identifiers of what a directory holds; a name comes with whether it is one."""
    found: dict[bytes, bytes] = {}
    taken: set[bytes] = set()
    following: dict[bytes, int] = {}
    for name, is_directory in sorted(names):
        base, dot, extension = name.upper().rpartition(b".")
        if not base or not dot or is_directory:
            base, extension = name.upper(), b""
        base = _OTHER.sub(b"_", base)
        extension = _OTHER.sub(b"_", extension)[:_LONGEST_EXTENSION]
        tail = b"" if is_directory else b"." + extension + b";1"
        room = _LONGEST - len(extension)
        identifier = base[:room] + tail
        while identifier in taken:
            start = base[: room - _NUMBER]
            number = following[start] = following.get(start, 0) + 1
            identifier = b"%s_%d%s" % (start, number, tail)
        taken.add(identifier)
        found[name] = identifier
    return found
