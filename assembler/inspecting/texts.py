"""Short texts: a kernel's command line."""

from __future__ import annotations

from assembler.inspecting.found import Found
from assembler.inspecting.probes import Look, Probe
from assembler.inspecting.source import Source, text

_LONGEST = 4096


def _look(source: Source, found: Found, _look: Look) -> None:
    found.facts["command line"] = text(source.read(0, _LONGEST))


def _fits(_head: bytes, source: Source) -> bool:
    data = source.read(0, _LONGEST + 1).rstrip(b"\n")
    return 0 < len(data) <= _LONGEST and all(32 <= byte < 127 for byte in data)


PROBES = (Probe("text of one line", _fits, _look),)
