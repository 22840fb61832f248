"""The build context: the files of a package that its Dockerfile may take, as git would have them.

Modes are those git keeps (0755 or 0644), times are the package's, owners are root: the umask, the
time of the checkout and whoever made it have no say.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from assembler.codes import packages
from assembler.dockerfile.file_tree import Contents, FileNode, decode_path, encode_path
from assembler.errors import PackageError, wrap_os_errors
from assembler.oci import DIRECTORY, FILE, SYMLINK

_CHUNK = 1 << 20


@dataclass(slots=True)
class ContextTree:
    """Files by their paths in the context, each somewhere on the disk."""

    time: int
    nodes: dict[str, FileNode] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    rooted: bool = False

    @contextmanager
    def contents(self, paths: Collection[str]) -> Iterator[Contents]:
        """Give the contents of files, read where they are."""
        _ = paths
        yield self._content

    def _content(self, path: str) -> Iterator[bytes]:
        place = self.paths[path]
        with wrap_os_errors(place, "read"), _open(place) as file:
            left = self.nodes[path].size
            while chunk := file.read(min(left, _CHUNK)) if left else b"":
                left -= len(chunk)
                yield chunk
            if left or file.read(1):
                raise PackageError.of(
                    packages.BAD_CONTEXT, f"{place} has changed while it was read", "build again"
                )

    def add_directory(
        self,
        directory: Path,
        prefix: str = "",
        is_ignored: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        """Take in a directory with everything in it, below a prefix."""
        if prefix:
            self._parents(prefix + "/x")
        for path, place, found in _walk(directory, is_ignored):
            self._add(f"{prefix}/{path}" if prefix else path, place, found)

    def add_file(self, path: str, place: Path) -> None:
        """Take in a file that was made for the build."""
        with wrap_os_errors(place, "read"):
            self._add(path, place, place.stat())
        self.nodes[path] = replace(self.nodes[path], mode=0o644)

    def write(self, target: Path) -> None:
        """Lay the context out on the disk, for builders that want a directory."""
        with wrap_os_errors(target):
            for path in sorted(self.nodes):
                node, there = self.nodes[path], os.fsencode(target) + b"/" + encode_path(path)
                if node.kind == DIRECTORY:
                    os.mkdir(there)  # noqa: PTH102 - names may be no text
                elif node.kind == SYMLINK:
                    os.symlink(encode_path(node.link), there)  # noqa: PTH211
                else:
                    with _open(self.paths[path]) as source, open(there, "xb") as copy:  # noqa: PTH123
                        shutil.copyfileobj(source, copy, _CHUNK)
                if node.kind != SYMLINK:
                    os.chmod(there, node.mode)  # noqa: PTH101
            for path in sorted(self.nodes, reverse=True):
                there = os.fsencode(target) + b"/" + encode_path(path)
                os.utime(there, (self.time, self.time), follow_symlinks=False)

    def _add(self, path: str, place: Path, found: os.stat_result) -> None:
        self._parents(path)
        if stat.S_ISDIR(found.st_mode):
            self.nodes[path] = FileNode(DIRECTORY, 0o755, mtime=self.time)
        elif stat.S_ISLNK(found.st_mode):
            target = decode_path(os.readlink(os.fsencode(place)))  # noqa: PTH115
            self.nodes[path] = FileNode(SYMLINK, 0o777, mtime=self.time, link=target)
        elif stat.S_ISREG(found.st_mode):
            mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
            self.nodes[path] = FileNode(FILE, mode, size=found.st_size, mtime=self.time)
        else:
            return  # sockets and the like are nothing to be copied
        self.paths[path] = place

    def _parents(self, path: str) -> None:
        above = path.rpartition("/")[0]
        while above and above not in self.nodes:
            self.nodes[above] = FileNode(DIRECTORY, 0o755, mtime=self.time)
            above = above.rpartition("/")[0]


def _open(place: Path) -> IO[bytes]:
    return os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def _walk(
    directory: Path, is_ignored: Callable[[str], bool]
) -> Iterator[tuple[str, Path, os.stat_result]]:
    left = [("", directory)]
    while left:
        prefix, here = left.pop()
        with wrap_os_errors(here, "read"):
            names = sorted(os.listdir(os.fsencode(here)))  # noqa: PTH208
        for raw in names:
            name = decode_path(raw)
            path = f"{prefix}/{name}" if prefix else name
            place = here / os.fsdecode(raw)
            if path == ".git":
                continue
            with wrap_os_errors(place, "read"):
                found = place.lstat()
            if not is_ignored(path):
                yield path, place, found
            if stat.S_ISDIR(found.st_mode):
                # Even if it is left out itself: something in it may be taken in again.
                left.append((path, place))
