"""Format an inspection as an indented list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.quantities import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.inspection import Fact, Inspection

_MAX_FILES = 12
# Facts that count bytes.
_SIZES = frozenset({"start", "disk size", "volume size", "content", "used", "block size"})


def inspection_lines(
    inspection: Inspection, name: str, *, every_file: bool = False, depth: int = 0
) -> Iterator[str]:
    """Yield the lines of the list."""
    indent = "  " * depth
    yield f"{indent}{name}: {inspection.kind}, {size_text(inspection.size)}"
    indent += "  "
    for key, value in inspection.facts.items():
        if key.endswith(" holds"):
            continue  # part of the signature's value
        yield f"{indent}{key}: {_shown(key, value)}"
    if inspection.problem:
        yield f"{indent}problem: {inspection.problem}"
    for part, inner in inspection.parts:
        yield from inspection_lines(inner, part, every_file=every_file, depth=depth + 1)
    shown = inspection.files if every_file else inspection.files[:_MAX_FILES]
    if shown:
        yield f"{indent}files: {len(inspection.files)}"
    for file in shown:
        yield f"{indent}  {file.path}  {size_text(file.size)}"
    if len(shown) < len(inspection.files):
        yield f"{indent}  … (--files lists all)"


def _shown(key: str, value: Fact) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and key in _SIZES:
        return size_text(value)
    return ", ".join(value) if isinstance(value, list) else str(value)
