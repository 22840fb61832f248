"""Where a path leads that goes through symbolic links, in a tree that is nowhere on a disk."""

from __future__ import annotations

from collections.abc import Callable

# As many as Linux follows.
_MAX_LINKS = 40


def resolve_directory(directory: bytes, target_of: Callable[[bytes], bytes | None]) -> bytes:
    """Return a directory without links in its path; `target_of` says where a path is a link to."""
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
