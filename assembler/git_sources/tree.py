"""The tree of a commit: all its entries, checked against the hash of the commit."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from assembler.codes import packages
from assembler.errors import PackageError
from assembler.spelling import nearest_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

TREE, LINK, PROGRAM, FILE, SUBMODULE = "040000", "120000", "100755", "100644", "160000"
_KINDS = {TREE: "a directory", LINK: "a symbolic link", SUBMODULE: "a submodule"}
_MODES = frozenset({TREE, LINK, PROGRAM, FILE, SUBMODULE})
_FORMER_MODE = "100664"
_MAX_ENTRIES = 200_000
_MAX_SIZE = 4 << 30
_MAX_FILE = 512 << 20
_HASH = re.compile(r"[0-9a-f]{40}")
_COMMITTER = re.compile(rb"^committer [^\n]*> (-?\d{1,12}) [+-]\d{4}$", re.MULTILINE)
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file, link, directory or submodule: its mode, its hash, its path from the top."""

    mode: str
    hash: str
    path: str
    size: int = 0


@dataclass(frozen=True)
class CommitTree:
    """A commit: its tree, its time, and all entries of the tree by path."""

    commit: str
    # The content of the commit object, which has the hash `commit`.
    header: bytes
    entries: Mapping[str, TreeEntry]

    @property
    def root(self) -> str:
        """Return the hash of the whole tree."""
        return self.header[5:45].decode("ascii", "replace")

    @property
    def time(self) -> int:
        """Return the time of the commit, in seconds since 1970."""
        match = _COMMITTER.search(self.header)
        return max(0, int(match[1])) if match else 0

    @cached_property
    def children(self) -> Mapping[str, list[TreeEntry]]:
        """Return the entries of each directory."""
        found: dict[str, list[TreeEntry]] = {"": []}
        for entry in self.entries.values():
            if entry.mode == TREE:
                found.setdefault(entry.path, [])
            found.setdefault(entry.path.rpartition("/")[0], []).append(entry)
        return found

    def check(self) -> None:
        """Raise an error unless every hash fits: of the commit, and of each directory."""
        if object_hash(b"commit", self.header) != self.commit:
            raise _damage("the commit does not have its hash")
        if self.header[:5] != b"tree " or not _HASH.fullmatch(self.root):
            raise _damage("the commit has no tree")
        for path, below in self.children.items():
            wanted = self.entries[path].hash if path else self.root
            if path and self.entries[path].mode != TREE:
                raise _damage(f"{path!r} is no directory")
            if _hash_tree(below) != wanted:
                raise _damage(f"the directory {path!r} does not have its hash")

    def tree_hash(self, directory: str) -> str | None:
        """Return the hash of a directory; None if the commit lacks it."""
        if not directory:
            return self.root
        entry = self.entries.get(directory)
        return entry.hash if entry is not None and entry.mode == TREE else None

    def below(self, directory: str) -> Iterator[TreeEntry]:
        """Yield all entries below a directory."""
        prefix = directory + "/" if directory else ""
        for path, entry in self.entries.items():
            if path.startswith(prefix):
                yield entry

    def require_directory(self, directory: str, repository: str) -> None:
        """Raise an error unless the tree has the directory; a link to one does not count."""
        parts = directory.split("/") if directory else []
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            entry = self.entries.get(path)
            if entry is not None and entry.mode == TREE:
                continue
            if entry is None:
                near = self._nearest(directory)
                hints: tuple[str, ...] = (f"did you mean {near}?",) if near else ()
                message = f"there is no directory {directory!r} in {repository} at {self.commit}"
            else:
                kind = _KINDS.get(entry.mode, "a file")
                message = f"{path!r} in {repository} is {kind}, not a directory"
                hints = ("links are not followed: name the directory itself",) * (
                    entry.mode == LINK
                )
            raise PackageError.of(packages.GIT_DIRECTORY_NOT_FOUND, message, *hints)

    def _nearest(self, directory: str) -> str | None:
        found = {
            e.path.rpartition("/")[0]
            for e in self.entries.values()
            if e.path.rpartition("/")[2] == "build.yml"
        } - {""}
        near = nearest_words(directory, found, 1)
        if near:
            return near[0]
        by_name = {path.rpartition("/")[2]: path for path in sorted(found)}
        near = nearest_words(directory.rpartition("/")[2], by_name, 1)
        return by_name[near[0]] if near else None

    def as_json(self) -> dict[str, Any]:
        """Return the tree for its manifest."""
        return {
            "header": self.header.decode("latin-1"),
            "entries": [[e.mode, e.hash, e.path] for e in self.entries.values()],
        }

    @classmethod
    def from_json(cls, commit: str, data: Any) -> CommitTree:  # noqa: ANN401 - JSON
        """Return the tree of a manifest; raise ValueError if it is broken."""
        try:
            entries = {path: TreeEntry(mode, name, path) for mode, name, path in data["entries"]}
            return cls(commit, data["header"].encode("latin-1"), entries)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error


def parse_listing(listing: bytes) -> dict[str, TreeEntry]:
    """Return the entries that `git ls-tree -rtlz` printed; names that are no names are refused."""
    found: dict[str, TreeEntry] = {}
    total = 0
    for line in listing.split(b"\0"):
        if not line:
            continue
        head, _, raw = line.partition(b"\t")
        mode, _, name, size = head.decode("ascii", "replace").split()
        path = os.fsdecode(raw)
        _check_path(path)
        if mode not in _MODES and mode != _FORMER_MODE:
            raise _refusal(f"{path!r} has the mode {mode}")
        found[path] = TreeEntry(mode, name, path, int(size) if size.isdigit() else 0)
        if found[path].size > _MAX_FILE:
            raise _refusal(f"{path!r} is larger than {_MAX_FILE >> 20} MiB")
        total += found[path].size
        if len(found) > _MAX_ENTRIES:
            raise _refusal(f"it has more than {_MAX_ENTRIES} files and directories")
        if total > _MAX_SIZE:
            raise _refusal(f"its files are larger than {_MAX_SIZE >> 30} GiB")
    return found


def object_hash(kind: bytes, content: bytes) -> str:
    """Return git's hash of an object."""
    head = b"%b %d\0" % (kind, len(content))
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


def damaged_paths(root: Path, entries: Iterable[TreeEntry]) -> Iterator[str]:
    """Yield the paths below `root` that do not have the content of their entries."""
    for entry in entries:
        if entry.mode not in (TREE, SUBMODULE) and not _is_intact(root, entry):
            yield entry.path


def _is_intact(root: Path, entry: TreeEntry) -> bool:
    path = root / entry.path
    try:
        mode = path.lstat().st_mode
        if entry.mode == LINK:
            target = os.readlink(os.fsencode(path))  # noqa: PTH115 - any bytes
            return stat.S_ISLNK(mode) and object_hash(b"blob", target) == entry.hash
        if not stat.S_ISREG(mode) or bool(mode & stat.S_IXUSR) != (entry.mode == PROGRAM):
            return False
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            whole = hashlib.sha1(
                b"blob %d\0" % os.fstat(file.fileno()).st_size, usedforsecurity=False
            )
            while chunk := file.read(_CHUNK):
                whole.update(chunk)
        return whole.hexdigest() == entry.hash
    except OSError:
        return False


def _check_path(path: str) -> None:
    for name in path.split("/"):
        if name in ("", ".", "..") or name.lower().rstrip(". ") in (".git", "git~1"):
            raise _refusal(f"{path!r} is not the name of a file")


def _hash_tree(entries: list[TreeEntry]) -> str:
    def key(entry: TreeEntry) -> bytes:
        return os.fsencode(entry.path.rpartition("/")[2]) + b"/" * (entry.mode == TREE)

    content = b"".join(
        entry.mode.lstrip("0").encode("ascii")
        + b" "
        + os.fsencode(entry.path.rpartition("/")[2])
        + b"\0"
        + bytes.fromhex(entry.hash)
        for entry in sorted(entries, key=key)
    )
    return object_hash(b"tree", content)


def _refusal(reason: str) -> PackageError:
    return PackageError.of(packages.GIT_REFUSED, f"the repository is refused: {reason}")


def _damage(reason: str) -> PackageError:
    return PackageError.of(packages.GIT_REFUSED, f"the repository is broken: {reason}")
