"""Symbolic links of a tree that is not on a disk: where a path through them leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# The limit of Linux.
_MAX_LINKS = 40


def resolve_directory(directory: bytes, target_of: Callable[[bytes], bytes | None]) -> bytes:
    """Return the path of a directory without links; `target_of` gives the target of a link."""
    done: list[bytes] = []
    words = directory.split(b"/")
    links = 0
    while words:
        word = words.pop(0)
        if word in (b"", b"."):
            continue
        if word == b"..":
            del done[-1:]
            continue
        target = target_of(b"/".join([*done, word]))
        if target is None or links == _MAX_LINKS:
            done.append(word)
            continue
        links += 1
        if target[:1] == b"/":
            done.clear()
        words = target.split(b"/") + words
    return b"/".join(done)
