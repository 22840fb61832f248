"""The tree of a toolchain image below a directory, and commands that have it as their root.

A command runs in namespaces of its own, without the network: that of users for all but a root that
has no ids to spare. So neither root nor a builder is needed.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.dockerfile import (
    DEPENDENT,
    namespace_command,
    subordinate_ids_of_root,
    unshare_words,
)
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import LogMessage
from assembler.oci import DIRECTORY, FILE, SYMLINK, LayerBlob, flatten_layers
from assembler.tools import ProcessLimits, run_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci import Image, LayerLimits, Store, TarReader

_DEVICES = ("null", "zero", "full", "random", "urandom")
# /proc cannot be mounted where parts of that of the host are hidden.
_ENTER = """set -e
umask 022
root=$1
shift
mount -n -t proc proc "$root/proc" 2>/dev/null || mount -n --rbind /proc "$root/proc"
for name in null zero full random urandom; do mount -n --bind "/dev/$name" "$root/dev/$name"; done
exec chroot "$root" "$@"
"""
_LIMITS = ProcessLimits(seconds=24 * 3600.0, output=1 << 30)
_LAST_LINES = 40
# The directory of builds inside the root: the same wherever the root is.
BUILD = "build"


@dataclass(frozen=True, slots=True)
class ToolchainRoot:
    """A directory with the tree of a toolchain image."""

    path: Path

    @property
    def build(self) -> Path:
        """Return the directory that commands write to, which they see as /build."""
        return self.path / BUILD

    def command(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs a command in this tree."""
        return [*_namespaces(self.path), "sh", "-c", _ENTER, "sh", str(self.path), *command]

    def run(
        self, command: tuple[str, ...], environment: Mapping[str, str], reporter: Reporter
    ) -> tuple[int, list[str]]:
        """Run a command in /build; return its status and its last lines."""
        last: list[str] = []
        rest = bytearray()

        def read(data: bytes) -> None:
            rest.extend(data)
            *lines, tail = bytes(rest).split(b"\n")
            rest[:] = tail
            for line in lines:
                _report(line, last, reporter)

        result = run_program(
            self.command(command),
            {"PATH": os.environ.get("PATH", os.defpath)} | dict(environment),
            limits=_LIMITS,
            on_output=read,
            writes=(self.build,),
        )
        if rest:
            _report(bytes(rest), last, reporter)
        return result.status, last


def unpack_toolchain(
    store: Store, image: Image, root: Path, limits: LayerLimits | None = None
) -> ToolchainRoot:
    """Unpack the tree of an image into a new directory."""
    what = str(image.reference)
    layers = [
        LayerBlob(d.digest, d.size, partial(store.open, d, what)) for d in image.manifest.layers
    ]
    with wrap_os_errors(root):
        _make_directory(root)
        writer = _TreeWriter(root)
        flatten_layers(what, layers, writer, limits=limits)
        writer.write_links()
        if not (root / "usr/bin/make").exists():
            raise PackageError.of(
                packages.KERNEL_BUILD_FAILED,
                f"{what} has no make",
                "name an image with what compiles a kernel, such as @dolmen:toolchain-kernel",
            )
        for name in ("proc", "dev", "tmp", BUILD):
            _make_directory(root / name)
        for name in _DEVICES:
            (root / "dev" / name).touch()
        (root / "tmp").chmod(0o1777)
        ids = subordinate_ids_of_root()
        if ids is not None:
            os.chown(root / BUILD, *ids)
    return ToolchainRoot(root)


def _report(line: bytes, last: list[str], reporter: Reporter) -> None:
    text = line.decode("utf-8", "replace").rstrip()
    last.append(text)
    del last[:-_LAST_LINES]
    reporter.emit(LogMessage(text, level=1, from_program=True))


def _namespaces(root: Path) -> list[str]:
    """Return the words before a command that runs in namespaces, and ends with this process."""
    own = ["--mount", "--net"]
    ids = subordinate_ids_of_root()
    if ids is not None:
        return [*DEPENDENT, *namespace_command(ids, [root], None), *unshare_words(*own)]
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    return [*DEPENDENT, *unshare_words(*user, *own)]


def _make_directory(path: Path) -> None:
    """Make a directory, and those above it, that the ids of commands can read, too."""
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir()
        path.chmod(0o755)


class _TreeWriter:
    """Writes directories and files; symbolic links at the end, so that no file is behind one."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.restart()

    def restart(self) -> None:
        self._links: dict[bytes, str] = {}
        for path in self._root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def add(self, name: bytes, reader: TarReader) -> None:
        path = self._path(name)
        if reader.kind == DIRECTORY:
            _make_directory(path)
        elif reader.kind == SYMLINK:
            self._links[name] = os.fsdecode(reader.link)
        elif reader.kind == FILE:
            _make_directory(path.parent)
            with path.open("wb") as file:
                reader.write_to(file.write)
            path.chmod(0o755 if reader.mode & 0o100 else 0o644)

    def link(self, name: bytes, target: bytes, _reader: TarReader) -> None:
        path = self._path(name)
        _make_directory(path.parent)
        os.link(self._path(target), path, follow_symlinks=False)

    def write_links(self) -> None:
        """Write the symbolic links, when all files are there."""
        for name, target in self._links.items():
            path = self._path(name)
            _make_directory(path.parent)
            path.symlink_to(target)

    def _path(self, name: bytes) -> Path:
        return self._root / os.fsdecode(name)
