"""The rules of a .dockerignore: which files the build context leaves out."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from assembler.errors import wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_MAX_SIZE = 1 << 20


def read_ignore_file(directory: Path, dockerfile: str) -> Callable[[str], bool]:
    """Return a test for ignored paths, from DOCKERFILE.dockerignore or from .dockerignore."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        path = directory / name
        if path.is_file():
            with wrap_os_errors(path, "read"), path.open("rb") as file:
                data = file.read(_MAX_SIZE)
            return compile_patterns(data.decode("utf-8-sig", "surrogateescape").splitlines())
    return _ignores_nothing


def compile_patterns(lines: Sequence[str]) -> Callable[[str], bool]:
    """Return a test for ignored paths; the last pattern that matches counts."""
    rules: list[tuple[bool, re.Pattern[str]]] = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        is_exception = text.startswith("!")
        pattern = os.path.normpath(text.removeprefix("!").strip()).strip("/")
        if pattern not in ("", "."):
            # A pattern that matches a directory matches everything in it.
            with suppress(re.error):  # an invalid range of characters matches nothing
                rules.append(
                    (
                        not is_exception,
                        re.compile(_regular_expression(pattern) + "(?:/.*)?", re.DOTALL),
                    )
                )

    def is_ignored(path: str) -> bool:
        ignored = False
        for ignores, expression in rules:
            if ignores != ignored and expression.fullmatch(path):
                ignored = ignores
        return ignored

    return is_ignored if rules else _ignores_nothing


_WILDCARDS: Mapping[str, str] = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_PATTERN_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]*\]|\\.|.", re.DOTALL)


def _regular_expression(pattern: str) -> str:
    out = []
    for piece in _PATTERN_TOKEN.findall(pattern):
        if piece in _WILDCARDS:
            out.append(_WILDCARDS[piece])
        elif len(piece) > 2 and piece[0] == "[":
            out.append("[" + piece[1:-1].replace("\\", "\\\\").replace("[", "\\[") + "]")
        else:
            out.append(re.escape(piece[1:] if len(piece) == 2 else piece))
    return "".join(out)


def _ignores_nothing(_path: str) -> bool:
    return False
