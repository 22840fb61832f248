"""The early initrd: a small initrd that mounts a root filesystem on a disk.

An init image that can mount a root filesystem has a list of modules (docs/boot.md). The early
initrd holds its /init, a marker file, and those modules with their dependencies. It has a plan of
its own, so it is encoded like every other initrd.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
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
# Of a verified image: modules for dm-verity, and for the ESP.
VERITY_MODULE_LIST = "usr/lib/dolmen/verity-modules"
# The detached signature of the root hash.
ROOT_SIGNATURE = "verity/root.p7s"
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
    # Requested filesystems, and dm-verity, that the kernel has neither built in nor as a module.
    # Also empty for a kernel without module indexes.
    missing_filesystems: tuple[str, ...]
    # The number of its modules; with 0 the kernel mounts the root filesystem itself.
    module_count: int


def plan_early_initrd(
    assembly: Assembly,
    filesystems: Sequence[str],
    spare_files: Callable[[], Mapping[str, bytes]] | None = None,
    *,
    verified: bool = False,
    extra_files: Mapping[str, bytes] = MappingProxyType({}),
) -> EarlyInitrd | None:
    """Return the early initrd for a root filesystem of these kinds; None without support in init.

    `Assembly(early.plan, store, options).initrd()` makes it. For a system with a list of modules
    whose init is a link, such as one with systemd, the program is that of `spare_files`, and so is
    the list if its own names no modules. With `verified` it also has the modules of dm-verity and
    of the ESP, and `extra_files` such as the signature of the root hash (ROOT_SIGNATURE).
    """
    lists = (MODULE_LIST, VERITY_MODULE_LIST) if verified else (MODULE_LIST,)
    parts = tuple(
        part
        for part in assembly.plan.parts
        if isinstance(part, ArchiveTree)
        or (isinstance(part, ImageTree) and part.origin.location.startswith("init"))
    )
    with Assembly(
        Plan(assembly.plan.architecture, parts), assembly.store, assembly.options
    ) as system:
        index_files = _read_files(
            system, lambda path: path in (*lists, _PROGRAM) or _INDEX.fullmatch(path)
        )
        roots = [_NAMES.get(kind, kind) for kind in filesystems]
        kernels = [_Modules.read(base, index_files) for base in _module_directories(index_files)]
        if MODULE_LIST not in index_files:
            return None
        patterns = _entries(index_files[MODULE_LIST])
        if _PROGRAM not in index_files:
            if spare_files is None:
                return None
            spare = spare_files()
            index_files |= {_PROGRAM: spare[_PROGRAM]}
            patterns = patterns or _entries(spare[MODULE_LIST])
            index_files = {path: spare[path] for path in lists[1:] if path in spare} | index_files
        if any(path not in index_files for path in lists):
            return None
        if verified:
            patterns += _entries(index_files[VERITY_MODULE_LIST])
            roots.append("dm-verity")
        module_paths = {path for kernel in kernels for path in kernel.closure([*patterns, *roots])}
        contents = _read_files(system, lambda path: path in module_paths)
    files = {_PROGRAM: index_files[_PROGRAM], _MARK: b"", **contents, **extra_files}
    for kernel in kernels:
        files |= kernel.reduce_indexes(contents)
    entries = tuple(
        GeneratedEntry(path, EntryKind.FILE, 0o755 if path == _PROGRAM else 0o644, content)
        for path, content in sorted(files.items())
    )
    requested = (*filesystems, "dm-verity") if verified else tuple(filesystems)
    missing = tuple(
        kind
        for kind, module in zip(requested, roots, strict=True)
        if kernels and not any(kernel.has(module) for kernel in kernels)
    )
    part = GeneratedPart(Origin("dolmen.early", "early"), entries)
    return EarlyInitrd(
        Plan(assembly.plan.architecture, (part,), assembly.plan.boot), missing, len(contents)
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
    def read(cls, base: str, files: Mapping[str, bytes]) -> _Modules:
        """Read the indexes below a directory."""
        indexes = {path: data for path, data in files.items() if path.startswith(base)}
        lines = _lines(indexes.get(base + "modules.builtin", b""))
        modules = cls(base, indexes, builtin=frozenset(_module_name(line) for line in lines))
        for line in _lines(indexes.get(base + "modules.dep", b"")):
            path, _, needs = line.partition(":")
            modules.paths[_module_name(path)] = path
            modules.needs[_module_name(path)] = [_module_name(need) for need in needs.split()]
        for line in _lines(indexes.get(base + "modules.softdep", b"")):
            _, _, arguments = line.partition(" ")
            module, _, needs = arguments.partition(" ")
            words = [w for w in needs.split() if not w.endswith(":")]
            modules.needs.setdefault(_normalize_name(module), []).extend(
                map(_normalize_name, words)
            )
        return modules

    def has(self, name: str) -> bool:
        """Tell whether the kernel has a module, built in or loadable."""
        return (
            not self.indexes
            or _normalize_name(name) in self.paths
            or _normalize_name(name) in self.builtin
        )

    def closure(self, patterns: Iterable[str]) -> Iterator[str]:
        """Yield the paths of the requested modules and their dependencies."""
        patterns = [_normalize_name(word) for word in patterns]
        todo = [n for n in self.paths if any(fnmatchcase(n, p) for p in patterns)]
        visited: set[str] = set()
        while todo:
            name = todo.pop()
            if name in visited or name not in self.paths:
                continue
            visited.add(name)
            todo += self.needs.get(name, [])
            yield self.base + self.paths[name]

    def reduce_indexes(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the indexes, reduced to the modules that are kept."""
        names = {_module_name(path) for path in files if path.startswith(self.base)}
        columns = {"modules.dep": 0, "modules.alias": 2, "modules.softdep": 1}
        files = {}
        for path, data in self.indexes.items():
            column = columns.get(path.removeprefix(self.base))
            lines = [
                line
                for line in _lines(data)
                if column is None or _module_in_column(line, column) in names
            ]
            files[path] = "".join(f"{line}\n" for line in lines).encode()
        return files


def _module_in_column(line: str, column: int) -> str:
    words = line.split()
    return _module_name(words[column].rstrip(":")) if len(words) > column else ""


def _normalize_name(name: str) -> str:
    return name.replace("-", "_")


def _module_name(path: str) -> str:
    return _normalize_name(path.rpartition("/")[2].partition(".ko")[0])


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").splitlines()


def _entries(data: bytes) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in _lines(data))
    return [line for line in lines if line]


def _module_directories(paths: Iterable[str]) -> list[str]:
    matches = (_INDEX.fullmatch(path) for path in paths)
    return sorted({f"{match[1]}/" for match in matches if match})


def _read_files(system: Assembly, is_selected: Callable[[str], object]) -> dict[str, bytes]:
    """Return the selected files of a tree; of several entries with one path the last counts."""
    reader = TarReader(_chunks(system))
    contents: dict[str, bytes] = {}
    while reader.next():
        path = normalize_tar_path(reader.name).decode("utf-8", "surrogateescape")
        if is_selected(path):
            contents.pop(path, None)
            if reader.kind == FILE and reader.size <= _LARGEST:
                contents[path] = reader.read(_LARGEST)
    return contents


def _chunks(system: Assembly) -> Iterator[bytes]:
    for piece in system.tree():
        if isinstance(piece, FileRange):
            yield from piece.chunks()
        else:
            yield bytes(piece)
