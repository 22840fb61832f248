"""The early initrd: a small initrd that mounts a root filesystem on a disk.

An init image that can mount a root filesystem has a list of modules (docs/boot.md). The early
initrd holds its /init, a marker file, and those modules with their dependencies. It has a plan of
its own, so it is encoded like every other initrd.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from assembler.content import FileRange
from assembler.encode.assembly import Assembly
from assembler.oci import FILE, TarReader, normalize_tar_path
from assembler.rootfs import (
    ArchiveTree,
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageTree,
    Origin,
    Plan,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

MODULE_LIST = "usr/lib/dolmen/early-modules"
_PROGRAM = "init"
_MARK = "etc/initrd-release"
# Module names of filesystems, where they differ.
_NAMES = {"iso9660": "isofs"}
_INDEX = re.compile(r"((?:usr/)?lib/modules/[^/]+)/(modules\.(?:dep|alias|softdep|builtin))")
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class EarlyInitrd:
    """An early initrd's plan, and its modules."""

    plan: Plan
    # Requested filesystems that the kernel has neither built in nor as a module. Also empty for
    # a kernel without module indexes.
    missing_filesystems: tuple[str, ...]
    # The number of its modules; with 0 the kernel mounts the root filesystem itself.
    module_count: int


def plan_early_initrd(assembly: Assembly, filesystems: Sequence[str]) -> EarlyInitrd | None:
    """Return the early initrd for a root filesystem of these kinds; None without support in init.

    `Assembly(early.plan, store, options).initrd()` makes it.
    """
    parts = tuple(
        part
        for part in assembly.plan.parts
        if isinstance(part, ArchiveTree)
        or (isinstance(part, ImageTree) and part.origin.location.startswith("init"))
    )
    with Assembly(
        Plan(assembly.plan.architecture, parts), assembly.store, assembly.options
    ) as system:
        known = _files(
            system, lambda path: path in (MODULE_LIST, _PROGRAM) or _INDEX.fullmatch(path)
        )
        if MODULE_LIST not in known or _PROGRAM not in known:
            return None
        wanted = _words(known[MODULE_LIST])
        roots = [_NAMES.get(kind, kind) for kind in filesystems]
        kernels = [_Modules.read(base, known) for base in _bases(known)]
        chosen = {path for kernel in kernels for path in kernel.closure([*wanted, *roots])}
        contents = _files(system, lambda path: path in chosen)
    files = {_PROGRAM: known[_PROGRAM], _MARK: b""} | contents
    for kernel in kernels:
        files |= kernel.reduced(contents)
    entries = tuple(
        GeneratedEntry(path, EntryKind.FILE, 0o755 if path == _PROGRAM else 0o644, content)
        for path, content in sorted(files.items())
    )
    lacking = tuple(
        kind
        for kind, module in zip(filesystems, roots, strict=True)
        if kernels and not any(kernel.has(module) for kernel in kernels)
    )
    made = GeneratedPart(Origin("dolmen.early", "early"), entries)
    return EarlyInitrd(
        Plan(assembly.plan.architecture, (made,), assembly.plan.boot), lacking, len(contents)
    )


@dataclass(frozen=True, slots=True)
class _Modules:
    """The modules of one kernel, read from its indexes."""

    # It ends in a slash.
    base: str
    indexes: Mapping[str, bytes]
    # By module name: the path below the base, and the names of its dependencies.
    paths: dict[str, str] = field(default_factory=dict)
    needs: dict[str, list[str]] = field(default_factory=dict)
    builtin: frozenset[str] = frozenset()

    @classmethod
    def read(cls, base: str, known: Mapping[str, bytes]) -> _Modules:
        """Read the indexes below a directory."""
        indexes = {path: data for path, data in known.items() if path.startswith(base)}
        lines = _lines(indexes.get(base + "modules.builtin", b""))
        found = cls(base, indexes, builtin=frozenset(_name(line) for line in lines))
        for line in _lines(indexes.get(base + "modules.dep", b"")):
            path, _, needs = line.partition(":")
            found.paths[_name(path)] = path
            found.needs[_name(path)] = [_name(need) for need in needs.split()]
        for line in _lines(indexes.get(base + "modules.softdep", b"")):
            _, _, rest = line.partition(" ")
            module, _, needs = rest.partition(" ")
            words = [w for w in needs.split() if not w.endswith(":")]
            found.needs.setdefault(_normal(module), []).extend(map(_normal, words))
        return found

    def has(self, name: str) -> bool:
        """Tell whether the kernel has a module, built in or loadable."""
        return not self.indexes or _normal(name) in self.paths or _normal(name) in self.builtin

    def closure(self, wanted: Iterable[str]) -> Iterator[str]:
        """Yield the paths of the requested modules and their dependencies."""
        patterns = [_normal(word) for word in wanted]
        todo = [n for n in self.paths if any(fnmatchcase(n, p) for p in patterns)]
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            if name in seen or name not in self.paths:
                continue
            seen.add(name)
            todo += self.needs.get(name, [])
            yield self.base + self.paths[name]

    def reduced(self, kept: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the indexes, reduced to the modules that are kept."""
        names = {_name(path) for path in kept if path.startswith(self.base)}
        columns = {"modules.dep": 0, "modules.alias": 2, "modules.softdep": 1}
        files = {}
        for path, data in self.indexes.items():
            column = columns.get(path.removeprefix(self.base))
            lines = [line for line in _lines(data) if column is None or _at(line, column) in names]
            files[path] = "".join(f"{line}\n" for line in lines).encode()
        return files


def _at(line: str, column: int) -> str:
    words = line.split()
    return _name(words[column].rstrip(":")) if len(words) > column else ""


def _normal(name: str) -> str:
    return name.replace("-", "_")


def _name(path: str) -> str:
    return _normal(path.rpartition("/")[2].partition(".ko")[0])


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").splitlines()


def _words(data: bytes) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in _lines(data))
    return [line for line in lines if line]


def _bases(known: Iterable[str]) -> list[str]:
    matches = (_INDEX.fullmatch(path) for path in known)
    return sorted({f"{match[1]}/" for match in matches if match})


def _files(system: Assembly, wanted: Callable[[str], object]) -> dict[str, bytes]:
    """Return the selected files of a tree; of several entries with one path the last counts."""
    reader = TarReader(_chunks(system))
    found: dict[str, bytes] = {}
    while reader.next():
        path = normalize_tar_path(reader.name).decode("utf-8", "surrogateescape")
        if wanted(path):
            found.pop(path, None)
            if reader.kind == FILE and reader.size <= _LARGEST:
                found[path] = reader.read(_LARGEST)
    return found


def _chunks(system: Assembly) -> Iterator[bytes]:
    for piece in system.tree():
        if isinstance(piece, FileRange):
            yield from piece.chunks()
        else:
            yield bytes(piece)
