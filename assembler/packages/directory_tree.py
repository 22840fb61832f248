"""Git's tree hash of a directory's content, without git: the hash that a commit would give it.

It names packages that no commit has. Sockets, pipes and devices do not count, nor do empty
directories: git stores neither.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError, host_error, wrap_os_errors
from assembler.packages.git_ignore import IgnoreRules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_GIT = ".git"
_CHUNK = 1 << 18
_LINK = b"120000"
_PROGRAM = b"100755"
_FILE = b"100644"
_TREE = b"40000"


def hash_directory(directory: Path) -> str:
    """Return the tree hash of all files in a directory that its .gitignore files do not name."""
    return hash_files(directory, walk_files(directory))


def walk_files(directory: Path) -> Iterator[bytes]:
    """Yield the paths of all files in a directory, as git would add them; not in order."""
    left = [(b"", IgnoreRules())]
    while left:
        prefix, rules = left.pop()
        current = directory / os.fsdecode(prefix)
        with wrap_os_errors(current, "read"):
            rules = rules.with_file(current, prefix)
            with os.scandir(current) as entries:
                for entry in entries:
                    path = prefix + os.fsencode(entry.name)
                    is_directory = entry.is_dir(follow_symlinks=False)
                    if entry.name == _GIT or rules.ignores(path, is_directory=is_directory):
                        continue
                    if is_directory:
                        left.append((path + b"/", rules))
                    else:
                        yield path


def hash_files(directory: Path, paths: Iterable[bytes]) -> str:
    """Return the tree hash of a directory with only these files; missing ones do not count."""
    trees: dict[bytes, dict[bytes, tuple[bytes, bytes]]] = {b"": {}}
    for path in paths:
        entry = _hash_entry(directory / os.fsdecode(path))
        if entry is None:
            continue
        parent, _, name = path.rpartition(b"/")
        trees.setdefault(parent, {})[name] = entry
        while parent and (parent := parent.rpartition(b"/")[0]) not in trees:
            trees[parent] = {}
    for path in sorted(filter(None, trees), key=lambda path: path.count(b"/"), reverse=True):
        parent, _, name = path.rpartition(b"/")
        trees[parent][name] = (_TREE, _hash_tree(trees[path]))
    return _hash_tree(trees[b""]).hex()


def _hash_tree(entries: dict[bytes, tuple[bytes, bytes]]) -> bytes:
    # Git compares the name of a directory with a slash at its end.
    ordered = sorted(entries.items(), key=lambda e: e[0] + b"/" * (e[1][0] == _TREE))
    content = b"".join(mode + b" " + name + b"\0" + digest for name, (mode, digest) in ordered)
    return _hash_object(b"tree", content)


def _hash_object(kind: bytes, content: bytes) -> bytes:
    head = b"%b %d\0" % (kind, len(content))
    return hashlib.sha1(head + content, usedforsecurity=False).digest()


def _hash_entry(path: Path) -> tuple[bytes, bytes] | None:
    """Return mode and hash of a link or a file; None for a path that git does not store."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return _LINK, _hash_object(b"blob", os.readlink(os.fsencode(path)))  # noqa: PTH115
        if not stat.S_ISREG(mode):
            return None
        # Non-blocking, in case that a pipe has replaced the file since.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            whole = hashlib.sha1(b"blob %d\0" % status.st_size, usedforsecurity=False)
            left = status.st_size
            while chunk := file.read(min(left, _CHUNK)):
                whole.update(chunk)
                left -= len(chunk)
            if left or file.read(1):
                raise PackageError.of(
                    packages.BAD_CONTEXT, f"{path} changed while it was read", "build again"
                )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise host_error(error, path, "read") from error
    return (_PROGRAM if status.st_mode & stat.S_IXUSR else _FILE), whole.digest()
