"""A program that was detected in a directory, and the directory's contents."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from assembler.errors import wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

ALL_ARCHES = ("amd64", "arm64", "riscv64")
# Not part of a program.
_OTHER_NAMES = {"__pycache__", "venv", "build.yml", "image.yml", "debs.lock", "Makefile"}
_OTHER_SUFFIXES = {".md", ".pyc"}
_STARTS = ("run", "start", "main", "app", "server", "service")
_MAX_SOURCE = 1 << 20
_MAX_SOURCES = 200


@dataclass(frozen=True, slots=True)
class Program:
    """How a program is built, and how it starts."""

    # What it is, and which file says so.
    description: str
    # Empty if a Dockerfile has it.
    command: tuple[str, ...] = ()
    debian_packages: tuple[str, ...] = ()
    arches: tuple[str, ...] = ALL_ARCHES
    # Paths in the image, and directories with a package `main` in Go.
    go_programs: Mapping[str, str] = field(default_factory=dict)
    # Whether the Go compiler needs modules from the network.
    network: bool = False
    # Names in the directory that go into the image.
    sources: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    has_dockerfile: bool = False
    # The port that it listens on; 0 if none was found.
    port: int = 0
    # What a person has to add.
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProgramDirectory:
    """A directory with a program; hidden files and those of Dolmen are left out."""

    path: Path
    name: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names in the directory."""
        with wrap_os_errors(self.path, "read"):
            names = sorted(os.listdir(self.path))  # noqa: PTH208 - names alone
        return tuple(name for name in names if _belongs(name))

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        return (self.path / name).is_file()

    def text(self, name: str) -> str:
        """Return the text of a file; empty for one that is too large or missing."""
        path = self.path / name
        if not path.is_file() or path.stat().st_size > _MAX_SOURCE:
            return ""
        with wrap_os_errors(path, "read"):
            return path.read_text("utf-8", "replace")

    def files(self, suffix: str) -> list[str]:
        """Return the names of files with a suffix."""
        return [name for name in self.names if name.endswith(suffix) and self.has(name)]

    def find_port(self, suffix: str, *patterns: str) -> int:
        """Return the first port that matches a pattern in files with a suffix, or 0."""
        for text in self._texts(suffix):
            for pattern in patterns:
                found = re.search(pattern, text)
                if found and 0 < int(found[1]) < 65536:
                    return int(found[1])
        return 0

    def preferred(self, names: Iterable[str]) -> str:
        """Return the file that most likely starts the program, or an empty text."""
        by_stem = {name.partition(".")[0]: name for name in names}
        if len(by_stem) == 1:
            return next(iter(by_stem.values()))
        for stem in (self.name, self.name.replace("-", "_"), *_STARTS):
            if stem in by_stem:
                return by_stem[stem]
        return ""

    def _texts(self, suffix: str) -> Iterator[str]:
        count = 0
        for folder, folders, names in os.walk(self.path):
            folders[:] = sorted(f for f in folders if _belongs(f) and f != "node_modules")
            for name in sorted(names):
                if name.endswith(suffix) and _belongs(name) and count < _MAX_SOURCES:
                    count += 1
                    yield self.text(os.path.relpath(os.path.join(folder, name), self.path))  # noqa: PTH118


def _belongs(name: str) -> bool:
    suffix = os.path.splitext(name)[1]  # noqa: PTH122 - a name
    return not (name.startswith(".") or name in _OTHER_NAMES or suffix in _OTHER_SUFFIXES)
