"""Checkouts below the store: the files of a commit, exactly as git has them.

    git/COMMIT/files/           the files, without conversions by attributes
    git/COMMIT/manifest.json    the commit and all entries of its tree; its mtime is the time of the
                                last use
    git/dolmen-HEX/             a checkout under way, locked (flock) by its writer

A checkout gets its name when it is complete, and loses it before it is removed. No program of git
runs in it: names and hashes come from the manifest, whose hashes lead to that of the commit.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError, wrap_os_errors
from assembler.files import STORE_MODE, atomic_write, sync_directory
from assembler.git_sources.program import read_blobs, read_tree
from assembler.git_sources.reference import COMMIT
from assembler.git_sources.tree import (
    LINK,
    PROGRAM,
    SUBMODULE,
    TREE,
    CommitTree,
    damaged_paths,
)
from assembler.scratch_directories import scratch_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from assembler.git_sources.reference import PackageReference
    from assembler.oci import Store

_FILES, _MANIFEST, _DIRECTORY = "files", "manifest.json", "git"
_VERSION = 1
_MAX_MANIFEST = 256 << 20
_NAME = re.compile(COMMIT.pattern)


@dataclass(frozen=True, slots=True)
class Checkout:
    """The files of a commit below the store."""

    root: Path
    tree: CommitTree

    @property
    def files(self) -> Path:
        """Return the directory with the files."""
        return self.root / _FILES

    def touch(self) -> None:
        """Note the time of use, where that is allowed."""
        with suppress(OSError):
            os.utime(self.root / _MANIFEST)

    def is_intact(self, directory: str = "") -> bool:
        """Tell whether all files below a directory have their hashes, and no other is there."""
        entries = list(self.tree.below(directory))
        if next(damaged_paths(self.files, entries), None) is not None:
            return False
        known = {entry.path for entry in entries}
        return all(path in known for path in _paths(self.files, directory))


def checkouts_directory(store: Store) -> Path:
    """Return the directory with the checkouts of a store."""
    return store.root.absolute() / _DIRECTORY


def open_checkout(root: Path) -> Checkout | None:
    """Return the checkout in a directory, or None if there is none, or a broken one."""
    try:
        status = (root / _MANIFEST).stat()
        return Checkout(root, _read_manifest(root, status.st_ino, status.st_size))
    except (OSError, ValueError, PackageError):
        return None


def find_root(path: Path) -> Path | None:
    """Return the checkout that a path is below, links in the path not followed; or None."""
    for above in (path, *path.parents):
        if (
            above.name == _FILES
            and _NAME.fullmatch(above.parent.name)
            and above.parent.parent.name == _DIRECTORY
            and (above.parent / _MANIFEST).is_file()
        ):
            return above.parent
    return None


def make_checkout(
    store: Store, reference: PackageReference, commit: str, fetch: Callable[[Path], None]
) -> None:
    """Put the files of a commit below the store; `fetch` makes a repository that has it."""
    target = checkouts_directory(store) / commit
    with wrap_os_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    with wrap_os_errors(target.parent), scratch_directory(target.parent) as scratch:
        repository = scratch / "repository.git"
        fetch(repository)
        tree = read_tree(reference, commit, repository)
        new = scratch / "checkout"
        _make_directory(new)
        _write_files(reference, repository, tree, new / _FILES)
        document = {"version": _VERSION, **tree.as_json()}
        with atomic_write(new / _MANIFEST, mode=STORE_MODE) as file:
            file.write(json.dumps(document).encode("ascii"))
        discard_checkout(target)
        new.rename(target)
        sync_directory(target.parent)


def discard_checkout(root: Path) -> None:
    """Remove a checkout: first its name, then its files."""
    with scratch_directory(root.parent) as scratch, suppress(FileNotFoundError):
        root.rename(scratch / "removed")


def _write_files(
    reference: PackageReference, repository: Path, tree: CommitTree, files: Path
) -> None:
    _make_directory(files)
    for entry in tree.entries.values():
        if entry.mode in (TREE, SUBMODULE):
            _make_directory(files / entry.path)
    contents = [e for e in tree.entries.values() if e.mode not in (TREE, SUBMODULE)]
    # No link is written before all files: none is followed.
    contents.sort(key=lambda entry: entry.mode == LINK)
    for entry, content in read_blobs(reference, repository, contents):
        path = os.fsencode(files / entry.path)
        if entry.mode == LINK:
            if not content or b"\0" in content:
                raise PackageError.of(
                    packages.GIT_REFUSED, f"the link {entry.path!r} has no valid target"
                )
            os.symlink(content, path)  # noqa: PTH211 - any bytes
            continue
        mode = 0o755 if entry.mode == PROGRAM else 0o644
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)


def _make_directory(path: Path) -> None:
    path.mkdir()
    path.chmod(0o755)


@lru_cache(maxsize=16)
def _read_manifest(root: Path, inode: int, size: int) -> CommitTree:
    """Read and check the manifest of a checkout; that of a new checkout is another file."""
    _ = inode
    if size > _MAX_MANIFEST:
        raise ValueError("too large")
    document = json.loads((root / _MANIFEST).read_bytes())
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        raise ValueError("another version")
    tree = CommitTree.from_json(root.name, document)
    tree.check()
    return tree


def _paths(files: Path, directory: str) -> Iterator[str]:
    """Yield the paths of everything below a directory, from the top of the checkout."""
    left = [directory]
    while left:
        current = left.pop()
        with suppress(OSError), os.scandir(files / current) as listing:
            for item in listing:
                path = f"{current}/{item.name}" if current else item.name
                yield path
                if item.is_dir(follow_symlinks=False):
                    left.append(path)
