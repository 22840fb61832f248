"""Fragments of a kernel's configuration: the options that each asks for, and joining them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.diagnostics import Diagnostic, Place, SourceText
from assembler.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SET = re.compile(r"CONFIG_(?P<name>[A-Za-z0-9_]+)=(?P<value>[^\s\"]\S*|\"(?:[^\"\\]|\\.)*\")\s*")
_NOT_SET = re.compile(r"# CONFIG_(?P<name>[A-Za-z0-9_]+) is not set\s*")


@dataclass(frozen=True, slots=True)
class Fragment:
    """The options that a file asks for."""

    source: SourceText
    # By name, without CONFIG_; `n` is off.
    values: Mapping[str, str]
    lines: Mapping[str, int] = field(default_factory=dict)

    def place_of(self, name: str) -> Place | None:
        """Return the line that asks for an option."""
        line = self.lines.get(name)
        return None if line is None else Place(self.source, line, 1, len(name) + len("CONFIG_"))


def parse_fragment(source: SourceText) -> Fragment:
    """Return the options of a fragment, or of a .config; raise an error with all wrong lines."""
    values, lines, problems = {}, {}, []
    for number, line in enumerate(source.text.splitlines(), 1):
        wanted, off = _SET.fullmatch(line), _NOT_SET.fullmatch(line)
        if wanted:
            values[wanted["name"]] = wanted["value"]
            lines[wanted["name"]] = number
        elif off:
            values[off["name"]] = "n"
            lines[off["name"]] = number
        elif line.strip() and not line.startswith("#"):
            problems.append(
                Diagnostic(
                    packages.BAD_RECIPE,
                    f"{line.strip()!r} is not an option of the kernel",
                    Place(source, number, 1, len(line)),
                    ("write CONFIG_NAME=y, or # CONFIG_NAME is not set",),
                )
            )
    if problems:
        raise PackageError(problems)
    return Fragment(source, values, lines)


def join_fragments(fragments: Iterable[Fragment]) -> dict[str, Fragment]:
    """Return by option the fragment that decides on it: the last one that names it."""
    return {name: fragment for fragment in fragments for name in fragment.values}
