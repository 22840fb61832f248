"""Path patterns for `drop:`: `*` and `?` match within a part of a path, `**` across parts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PIECE = re.compile(r"/\*\*/|/\*\*$|^\*\*/|\*|\?|[^*?/]+|/")
_WILDCARDS = {"/**/": "/(?:.*/)?", "/**": "/.*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}


def path_matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that matches paths (without a leading slash) against absolute patterns.

    A pattern that matches a directory also matches everything below it.
    """
    if not patterns:
        return _matches_nothing
    together = re.compile("|".join(f"(?:{_expression(p)})(?:/.*)?" for p in patterns), re.DOTALL)
    return lambda path: together.fullmatch(path) is not None


def _matches_nothing(_path: str) -> bool:
    return False


def _expression(pattern: str) -> str:
    pieces = _PIECE.findall(pattern.strip("/"))
    return "".join(_WILDCARDS.get(piece, re.escape(piece)) for piece in pieces)
