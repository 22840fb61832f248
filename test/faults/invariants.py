"""The invariants: functions that return what does not hold after a command."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from faults.processes import Ended

# Exit codes of Dolmen: right, an error with diagnostics, an invalid command line.
DOCUMENTED = frozenset({0, 1, 2})
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_DIAGNOSTIC = re.compile(r"error\[DM\d{4}\]")
_TRACES = ("Traceback (most recent call last)", "Fatal Python error", "Exception ignored in")
# Files that only a command under way may have: parts, registrations of runs, build contexts.
_OLD = 8 * 24 * 3600
_UNDER_WAY = (
    *("tmp/*", "locks/use-*", "building/*", "segments/.*.part"),
    *("debs/tmp/*", "debs/pool/.*.part", ".*.part"),
)


def of_process(ended: Ended, statuses: Collection[int] = DOCUMENTED) -> Iterator[str]:
    """Yield what is wrong with how a command ended and with what it printed."""
    if ended.hung:
        yield f"it hangs: no end after {ended.seconds:.0f} s"
    elif ended.status not in statuses:
        yield f"exit status {ended.status}: {ended.said[-300:]!r}"
    elif (
        ended.status in (1, 2)
        and not _DIAGNOSTIC.search(ended.said)
        and "error:" not in (ended.said)
    ):
        yield f"exit status {ended.status} without a diagnostic: {ended.said[-300:]!r}"
    said = ended.said
    for trace in _TRACES:
        if trace in said:
            yield f"{trace}: {said[said.index(trace) :][-400:]!r}"
    found = _CONTROL.search(said)
    if found:
        near = said[max(0, found.start() - 60) : found.end() + 20]
        yield f"a control character is printed: {near!r}"
    for survivor in ended.survivors:
        yield f"a process is left: {survivor}"


@dataclass(frozen=True)
class Result:
    """What a command made: digests of outputs by name, and of images by reference."""

    outputs: Mapping[str, str]
    names: Mapping[str, str]


def of_result(found: Result, reference: Result, *, whole: bool) -> Iterator[str]:
    """Yield what differs from the reference; unless `whole`, anything may be absent."""
    for what, have, want in (
        ("output", found.outputs, reference.outputs),
        ("image", found.names, reference.names),
    ):
        for name, digest in have.items():
            if name not in want:
                yield f"left over: {what} {name}"
            elif digest != want[name]:
                yield f"wrong {what}: {name} is {digest}, not {want[name]}"
        if whole:
            yield from (f"{what} {name} is missing" for name in want if name not in have)


def age(store: Path) -> None:
    """Make files of runs that are over older than what `cache clean` keeps: a week."""
    old = time.time() - _OLD
    for pattern in _UNDER_WAY:
        for path in store.glob(pattern):
            os.utime(path, (old, old), follow_symlinks=False)


def left_in_store(store: Path) -> Iterator[str]:
    """Yield files of runs that are over."""
    for pattern in _UNDER_WAY:
        for path in store.glob(pattern):
            yield f"left over in the store: {path.relative_to(store)}"


def left_in(directory: Path) -> Iterator[str]:
    """Yield all files of a directory that has to be empty."""
    for path in sorted(directory.iterdir()):
        yield f"left over: {directory.name}/{path.name}"


def digests(directory: Path) -> dict[str, str]:
    """Return the digests of all files of a directory, hidden ones included."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


Snapshot = dict[str, tuple[int, int, int, int]]


def snapshot(*directories: Path) -> Snapshot:
    """Return mode, size, time and inode of everything in directories."""
    found: Snapshot = {}
    for directory in directories:
        for folder, folders, files in os.walk(directory):
            for name in (*folders, *files):
                path = os.path.join(folder, name)  # noqa: PTH118 - quick
                status = os.lstat(path)
                changed = 0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
                found[path] = (status.st_mode, status.st_size, changed, status.st_ino)
    return found


def of_outside(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Yield what has changed where nothing may change."""
    for path in sorted({*before, *after}):
        if path not in before:
            yield f"a file outside is made: {path}"
        elif path not in after:
            yield f"a file outside is removed: {path}"
        elif before[path] != after[path]:
            yield f"a file outside is changed: {path}"
