"""The paths of the system's parts so far, and where a path through their symbolic links leads.

The rule is that of a container runtime: links are followed inside the root and never out of it.
An absolute target begins at the root, and `..` ends there. The last name of a path is not followed:
an entry replaces what has its path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from assembler.rootfs import EntryKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.encode.inventory import Inventory
    from assembler.encode.segment_cache import Segment
    from assembler.rootfs import GeneratedEntry

# The limit of Linux.
_MAX_LINKS = 40


class BlockedPathError(Exception):
    """A path does not lead to a directory; the message says why."""


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: bytes


# What an entry is: a link, a directory, or a file of any other kind.
PathKind = EntryKind | Link


class SegmentPaths:
    """The paths of a segment; each list is read when it is first needed."""

    def __init__(self, prefix: str, segment: Segment) -> None:
        """Take a segment whose entries are below a prefix."""
        self.prefix = prefix.encode()
        self._segment = segment

    @cached_property
    def inventory(self) -> Inventory:
        """The inventory of the segment."""
        return self._segment.inventory()

    @cached_property
    def directories(self) -> set[bytes]:
        """All directories with an entry."""
        return {*self.inventory.directories, self.prefix.rstrip(b"/")}

    @cached_property
    def links(self) -> dict[bytes, bytes]:
        """The targets of symbolic links."""
        return self._segment.links(self.inventory)

    @cached_property
    def programs(self) -> bytes:
        """The paths of programs between NULs."""
        return self._segment.programs()

    @cached_property
    def files(self) -> bytes:
        """The paths of other files between NULs."""
        return self._segment.files()

    def is_program(self, path: bytes) -> bool:
        """Tell whether a path is a file that can be executed."""
        return b"\0%b\0" % path in self.programs

    def kind(self, path: bytes, *, with_files: bool) -> PathKind | None:
        """Return the kind of a path; files are looked up only if asked for."""
        if not path.startswith(self.prefix):
            return None
        target = self.links.get(path)
        if target is not None:
            return Link(target)
        if path in self.directories:
            return EntryKind.DIRECTORY
        if with_files and (self.is_program(path) or b"\0%b\0" % path in self.files):
            return EntryKind.FILE
        return None

    def has_below(self, directory: bytes) -> bool:
        """Tell whether there is an entry below a directory."""
        below = directory + b"/"
        if not below.startswith(self.prefix[: len(below)]):
            return False
        start = b"\0" + below
        return (
            start in self.programs
            or start in self.files
            or any(p.startswith(below) for p in self.directories)
            or any(p.startswith(below) for p in self.links)
        )


@dataclass(slots=True)
class GeneratedPaths:
    """The paths of generated entries."""

    kinds: dict[bytes, PathKind] = field(default_factory=dict)

    def kind(self, path: bytes, *, with_files: bool) -> PathKind | None:  # noqa: ARG002
        """Return the kind of a path."""
        return self.kinds.get(path)

    def has_below(self, directory: bytes) -> bool:
        """Tell whether there is an entry below a directory."""
        return any(path.startswith(directory + b"/") for path in self.kinds)


class TreePaths:
    """The paths of all parts so far; later parts win over earlier ones."""

    def __init__(self) -> None:
        """Start with an empty root."""
        self.parts: list[SegmentPaths | GeneratedPaths] = []
        self._resolved: dict[bytes, bytes] = {}
        # All directories in the paths that were resolved.
        self._walked: set[bytes] = set()

    def add_segment(self, paths: SegmentPaths) -> None:
        """Add the tree of a segment."""
        self.parts.append(paths)
        if not paths.prefix:
            self._forget()

    def add_entry(self, entry: GeneratedEntry) -> None:
        """Add a generated entry."""
        if not self.parts or not isinstance(self.parts[-1], GeneratedPaths):
            self.parts.append(GeneratedPaths())
        made = self.parts[-1]
        assert isinstance(made, GeneratedPaths)  # noqa: S101 - for the type checker
        path = entry.path.encode("utf-8", "surrogateescape")
        target = entry.target.encode("utf-8", "surrogateescape")
        kind = Link(target) if entry.kind is EntryKind.SYMLINK else entry.kind
        made.kinds[path] = kind
        if isinstance(kind, Link) or (path in self._walked and not entry.implied):
            self._forget()

    def _forget(self) -> None:
        self._resolved.clear()
        self._walked.clear()

    def kind(self, path: bytes, *, with_files: bool = True) -> PathKind | None:
        """Return the kind of the last entry at a path."""
        return self.last(path, with_files=with_files)[0]

    def last(self, path: bytes, *, with_files: bool = True) -> tuple[PathKind | None, bool]:
        """Return the kind of the last entry at a path, and whether it is generated."""
        for part in reversed(self.parts):
            found = part.kind(path, with_files=with_files)
            if found is not None:
                return found, isinstance(part, GeneratedPaths)
        return None, False

    def directory(self, path: bytes) -> bytes:
        """Return a directory without links in its path; raise BlockedPathError if there is none."""
        found = self._resolved.get(path)
        if found is None:
            found = self._resolved[path] = follow(path, self.kind)
            self._walked.update(parents_of(path), (path,))
        return found

    def has_below(self, directory: bytes) -> bool:
        """Tell whether a directory is not empty."""
        return any(part.has_below(directory) for part in self.parts)


def parents_of(path: bytes) -> Iterator[bytes]:
    """Yield the parent directories of a path, the deepest first."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def follow(
    path: bytes,
    kind_of: Callable[[bytes], PathKind | None],
    crossed: dict[bytes, bytes] | None = None,
    *,
    file_at_end: bool = False,
) -> bytes:
    """Return where a path leads if all of its links are followed.

    It leads through directories and to one, or to a file if `file_at_end` is set.
    A name that does not exist is a directory that can be made. Links that are followed are added to
    `crossed`, with the path that each leads to.
    """
    done: list[bytes] = []
    words = path.split(b"/")
    links: list[bytes] = []
    while words:
        word = words.pop(0)
        if word in (b"", b"."):
            continue
        if word == b"..":
            del done[-1:]
            continue
        here = b"/".join([*done, word])
        kind = kind_of(here)
        if kind is EntryKind.FILE and (words or not (links or file_at_end)):
            raise BlockedPathError(f"{shown(here)} is a file")
        if kind is EntryKind.FILE and not file_at_end:
            raise BlockedPathError(f"the link {shown(links[-1])} leads to the file {shown(here)}")
        if not isinstance(kind, Link):
            done.append(word)
            continue
        links.append(here)
        if len(links) > _MAX_LINKS:
            raise BlockedPathError(f"the links {', '.join(_circle(links))} lead in a circle")
        if kind.target[:1] == b"/":
            done.clear()
        words = kind.target.split(b"/") + words
    found = b"/".join(done)
    if crossed is not None:
        # A link to another link leads to the same place.
        crossed.update({link: follow(link, kind_of) for link in links})
    return found


def _circle(links: list[bytes]) -> Iterator[str]:
    """Yield the links that are followed again and again, each once."""
    yield from sorted({shown(link) for link in links[-(_MAX_LINKS // 2) :]})[:4]


def shown(path: bytes) -> str:
    """Return a path for messages."""
    return path.decode("utf-8", "backslashreplace")
