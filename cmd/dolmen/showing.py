"""What was found in a file, as an indented list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dolmen.console import size_text

if TYPE_CHECKING:
    from assembler.inspection.result import Fact, Inspection

_FEW = 12
# Facts that count bytes.
_SIZES = frozenset({"start", "disk size", "volume size", "content", "used", "block size"})


def lines(
    found: Inspection, name: str, *, every_file: bool = False, depth: int = 0
) -> Iterator[str]:
    """Yield the lines."""
    edge = "  " * depth
    yield f"{edge}{name}: {found.kind}, {size_text(found.size)}"
    edge += "  "
    for key, value in found.facts.items():
        if key.endswith(" holds"):
            continue  # said by the signature itself
        yield f"{edge}{key}: {_shown(key, value)}"
    if found.problem:
        yield f"{edge}problem: {found.problem}"
    for part, inner in found.parts:
        yield from lines(inner, part, every_file=every_file, depth=depth + 1)
    shown = found.files if every_file else found.files[:_FEW]
    if shown:
        yield f"{edge}files: {len(found.files)}"
    for file in shown:
        yield f"{edge}  {file.path}  {size_text(file.size)}"
    if len(shown) < len(found.files):
        yield f"{edge}  … (--files lists all)"


def _shown(key: str, value: Fact) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key in _SIZES:
        return size_text(value)
    return ", ".join(value) if isinstance(value, list) else str(value)
