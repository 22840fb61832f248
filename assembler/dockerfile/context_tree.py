"""The build context: the files of a package that its Dockerfile may copy.

Modes are those that git keeps (0755 or 0644), times are the package's, owners are root: the umask,
the time and the user of the checkout make no difference.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from assembler.codes import packages
from assembler.dockerfile.file_tree import Contents, FileNode, decode_path, encode_path
from assembler.errors import PackageError, wrap_os_errors
from assembler.oci import DIRECTORY, FILE, SYMLINK

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

_CHUNK = 1 << 20


@dataclass(slots=True)
class ContextTree:
    """The files of a build context by path, with their sources on the disk."""

    time: int
    nodes: dict[str, FileNode] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    rooted: bool = False

    @contextmanager
    def contents(self, paths: Collection[str]) -> Iterator[Contents]:
        """Give a reader of contents, from the files on the disk."""
        _ = paths
        yield self._content

    def _content(self, path: str) -> Iterator[bytes]:
        source = self.paths[path]
        with wrap_os_errors(source, "read"), _open(source) as file:
            left = self.nodes[path].size
            while chunk := file.read(min(left, _CHUNK)) if left else b"":
                left -= len(chunk)
                yield chunk
            if left or file.read(1):
                raise PackageError.of(
                    packages.BAD_CONTEXT, f"{source} changed while it was read", "build again"
                )

    def add_directory(
        self,
        directory: Path,
        prefix: str = "",
        is_ignored: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        """Add everything in a directory that is not ignored, below a prefix."""
        if prefix:
            self._add_parents(prefix + "/x")
        for path, source, found in _walk(directory, is_ignored):
            self._add(f"{prefix}/{path}" if prefix else path, source, found)

    def add_file(self, path: str, source: Path) -> None:
        """Add a file that was written for the build."""
        with wrap_os_errors(source, "read"):
            self._add(path, source, source.stat())
        self.nodes[path] = replace(self.nodes[path], mode=0o644)

    def write(self, target: Path) -> None:
        """Write the context into a directory, for builders."""
        with wrap_os_errors(target):
            for path in sorted(self.nodes):
                node, copy = self.nodes[path], os.fsencode(target) + b"/" + encode_path(path)
                if node.kind == DIRECTORY:
                    os.mkdir(copy)  # noqa: PTH102 - names may be any bytes
                elif node.kind == SYMLINK:
                    os.symlink(encode_path(node.link), copy)  # noqa: PTH211
                else:
                    with _open(self.paths[path]) as source, open(copy, "xb") as out:  # noqa: PTH123
                        shutil.copyfileobj(source, out, _CHUNK)
                if node.kind != SYMLINK:
                    os.chmod(copy, node.mode)  # noqa: PTH101
            for path in sorted(self.nodes, reverse=True):
                copy = os.fsencode(target) + b"/" + encode_path(path)
                os.utime(copy, (self.time, self.time), follow_symlinks=False)

    def _add(self, path: str, source: Path, found: os.stat_result) -> None:
        self._add_parents(path)
        if stat.S_ISDIR(found.st_mode):
            self.nodes[path] = FileNode(DIRECTORY, 0o755, mtime=self.time)
        elif stat.S_ISLNK(found.st_mode):
            target = decode_path(os.readlink(os.fsencode(source)))  # noqa: PTH115
            self.nodes[path] = FileNode(SYMLINK, 0o777, mtime=self.time, link=target)
        elif stat.S_ISREG(found.st_mode):
            mode = 0o755 if found.st_mode & stat.S_IXUSR else 0o644
            self.nodes[path] = FileNode(FILE, mode, size=found.st_size, mtime=self.time)
        else:
            return  # COPY ignores sockets and devices
        self.paths[path] = source

    def _add_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        while parent and parent not in self.nodes:
            self.nodes[parent] = FileNode(DIRECTORY, 0o755, mtime=self.time)
            parent = parent.rpartition("/")[0]


def _open(source: Path) -> IO[bytes]:
    return os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def _walk(
    directory: Path, is_ignored: Callable[[str], bool]
) -> Iterator[tuple[str, Path, os.stat_result]]:
    left = [("", directory)]
    while left:
        prefix, current = left.pop()
        with wrap_os_errors(current, "read"):
            names = sorted(os.listdir(os.fsencode(current)))  # noqa: PTH208
        for raw in names:
            name = decode_path(raw)
            path = f"{prefix}/{name}" if prefix else name
            source = current / os.fsdecode(raw)
            if path == ".git":
                continue
            with wrap_os_errors(source, "read"):
                found = source.lstat()
            if not is_ignored(path):
                yield path, source, found
            if stat.S_ISDIR(found.st_mode):
                # Even if it is ignored: an exception may name a file in it.
                left.append((path, source))
