"""The patterns of a .gitignore file: which files git leaves out of a commit."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import host_error

if TYPE_CHECKING:
    from pathlib import Path

_NAME = ".gitignore"
# Larger files have no effect; git has a limit, too.
_MAX_SIZE = 1 << 20
_BOM = b"\xef\xbb\xbf"
_TRAILING_SPACES = re.compile(rb"(?<!\\)((?:\\\\)*) +$")


@dataclass(frozen=True, slots=True)
class _Pattern:
    expression: re.Pattern[bytes]
    negated: bool
    only_directories: bool
    # Compared with the whole path, not with the last name in it.
    anchored: bool

    def matches(self, path: bytes, *, is_directory: bool) -> bool:
        if self.only_directories and not is_directory:
            return False
        text = path if self.anchored else path.rpartition(b"/")[2]
        return self.expression.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The patterns that apply in a directory: its own .gitignore, and those of its parents."""

    # Each with the directory of its .gitignore, with a slash at the end; the last one counts.
    patterns: tuple[tuple[bytes, _Pattern], ...] = ()

    def with_file(self, directory: Path, prefix: bytes) -> IgnoreRules:
        """Return these rules and those of a directory's .gitignore; `prefix` leads to it."""
        parsed = [_parse(line) for line in _read(directory / _NAME).split(b"\n")]
        own = tuple((prefix, pattern) for pattern in parsed if pattern is not None)
        return IgnoreRules(self.patterns + own)

    def ignores(self, path: bytes, *, is_directory: bool) -> bool:
        """Tell whether a path is ignored; its parent directories are not."""
        for prefix, pattern in reversed(self.patterns):
            if pattern.matches(path[len(prefix) :], is_directory=is_directory):
                return not pattern.negated
        return False


def _read(path: Path) -> bytes:
    try:
        # Non-blocking: a FIFO is opened at once. Git does not follow links, either.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        if not stat.S_ISREG(path.lstat().st_mode):
            return b""
        raise host_error(error, path, "read") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_SIZE:
            return b""
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(_MAX_SIZE).removeprefix(_BOM)
    finally:
        os.close(handle)


def _parse(line: bytes) -> _Pattern | None:
    text = _TRAILING_SPACES.sub(rb"\1", line.removesuffix(b"\r"))
    negated = text.startswith(b"!")
    text = text.removeprefix(b"!")
    if line.startswith(b"#") or not text:
        return None
    only_directories = text.endswith(b"/")
    text = text.removesuffix(b"/")
    anchored = b"/" in text
    expression = _translate(text.removeprefix(b"/"))
    if not text or expression is None:
        return None
    return _Pattern(re.compile(expression, re.DOTALL), negated, only_directories, anchored)


def _translate(pattern: bytes) -> bytes | None:
    """Return the regular expression of a pattern; None if it matches nothing."""
    found, at = b"", 0
    while at < len(pattern):
        stars = len(pattern) - at - len(pattern[at:].lstrip(b"*"))
        after = at + stars
        begins_name = at == 0 or pattern[at - 1 : at] == b"/"
        if begins_name and stars > 1 and pattern.startswith(b"/", after):
            found, at = found + rb"(?:.*/)?", after + 1
        elif begins_name and at and stars > 1 and after == len(pattern):
            found, at = found + rb".+", after
        elif stars:
            found, at = found + rb"[^/]*", after
        elif pattern.startswith(b"?", at):
            found, at = found + rb"[^/]", at + 1
        elif pattern.startswith(b"[", at):
            translated = _translate_set(pattern, at)
            if translated is None:
                return None
            found, at = found + translated[0], translated[1]
        else:
            at += pattern.startswith(b"\\", at)
            if at == len(pattern):
                return None
            found, at = found + re.escape(pattern[at : at + 1]), at + 1
    return found


def _translate_set(pattern: bytes, start: int) -> tuple[bytes, int] | None:
    """Return the expression of a `[…]` and the place after it; None if it is invalid.

    Classes such as `[:alpha:]` are not supported.
    """
    at = start + 1
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members: list[bytes] = []
    first = at
    while at < len(pattern) and (pattern[at : at + 1] != b"]" or at == first):
        if pattern.startswith(b"[:", at):
            return None
        low, at = _set_member(pattern, at)
        high = low
        if pattern.startswith(b"-", at) and pattern[at + 1 : at + 2] not in (b"]", b""):
            high, at = _set_member(pattern, at + 1)
        if low <= high:
            members.append(re.escape(low) + b"-" + re.escape(high))
    if at >= len(pattern):
        return None
    text = b"".join(members)
    if not members:
        return (rb"[^/]" if negated else rb"(?!)"), at + 1
    return (rb"(?!/)[" + (b"^" if negated else b"") + text + b"]"), at + 1


def _set_member(pattern: bytes, at: int) -> tuple[bytes, int]:
    at += pattern.startswith(b"\\", at)
    return pattern[at : at + 1], at + 1
