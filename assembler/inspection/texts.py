"""Short texts: a kernel's command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.source import DataSource, printable_text

if TYPE_CHECKING:
    from assembler.inspection.result import Inspection

_MAX_LENGTH = 4096


def _inspect_text(source: DataSource, result: Inspection, _inspect_text: Inspector) -> None:
    result.facts["command line"] = printable_text(source.read(0, _MAX_LENGTH))


def _is_text(_head: bytes, source: DataSource) -> bool:
    data = source.read(0, _MAX_LENGTH + 1).rstrip(b"\n")
    return 0 < len(data) <= _MAX_LENGTH and all(32 <= byte < 127 for byte in data)


PROBES = (Probe("text of one line", _is_text, _inspect_text),)
