"""From Debian's kernel packages to a kernel image: `kernel`, `kernel.tar` with indexed modules.

The packages are read twice: once to learn what is in them, once to stream the modules, because
the size of kernel.tar stands before its content.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.debian.deb_file import open_deb
from assembler.debian.depmod import module_dependencies, module_indexes
from assembler.debian.kernel_modules import (
    KernelModule,
    builtin_modinfo,
    is_module,
    module_name,
    read_module,
)
from assembler.debian.layer import package_database
from assembler.debian.tar_headers import TAR_END, tar_file, tar_header, tar_padding
from assembler.debian.tarball import DebTarEntry, TarEntryKind
from assembler.errors import PackageError

if TYPE_CHECKING:
    from assembler.debian.layer import LayerRecipe
    from assembler.debian.tarball import TarReaderOfDeb

_MODULES = "usr/lib/modules/"
# What is built on the machine the package is built for, and of no use in an image.
_SKIPPED = ("build", "source")
_MAX_FILE_SIZE = 192 << 20
# Modules are inflated by several threads; so many wait in memory at most.
_READER_THREADS = 2
_MAX_WAITING = 8
_MODULE_LISTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")


@dataclass(slots=True)
class _KernelContents:
    """What the packages of a kernel have."""

    # By version; in the end there is one.
    kernels: dict[str, bytes] = field(default_factory=dict)
    configs: dict[str, bytes] = field(default_factory=dict)
    modules: dict[str, KernelModule] = field(default_factory=dict)
    lists: dict[str, bytes] = field(default_factory=dict)
    # Everything below the directory of modules, in the packages' order.
    entries: dict[str, DebTarEntry] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Return the version of the one kernel."""
        return next(iter(self.kernels))


def kernel_layer(recipe: LayerRecipe) -> Iterator[bytes | memoryview]:
    """Yield the tar of a kernel image's layer."""
    found = _read_contents(recipe)
    wanted = _select_modules(found, recipe.debs.modules)
    base = f"{_MODULES}{found.version}/"
    made = {
        name: content
        for name, content in module_indexes(
            [m for p, m in found.modules.items() if p in wanted],
            *(found.lists.get(name, b"") for name in _MODULE_LISTS),
        ).items()
        if found.modules or found.lists
    }
    kept = [
        e
        for path, e in found.entries.items()
        if (not is_module(path) or path in wanted) and path.removeprefix(base) not in made
    ]
    if recipe.debs.modules:
        kept = _without_empty_directories(kept)
    entries = [*_parents(base, recipe.time), *kept]
    written = {e.path for e in kept}

    def file(path: str, content: bytes, mode: int = 0o644) -> Iterator[bytes]:
        size = len(content)
        yield from tar_file(
            DebTarEntry(path, TarEntryKind.FILE, mode, 0, 0, recipe.time, size), content
        )

    yield from file("kernel", found.kernels[found.version])
    if found.version in found.configs:
        yield from file("kernel-config", found.configs[found.version])
    generated = b"".join(
        b"".join(file(base + name, content)) for name, content in sorted(made.items())
    )
    size = sum(len(tar_header(e)) + e.size + len(tar_padding(e.size)) for e in entries)
    size += len(generated) + len(TAR_END)
    yield tar_header(DebTarEntry("kernel.tar", TarEntryKind.FILE, 0o644, 0, 0, recipe.time, size))
    for entry in _parents(base, recipe.time):
        yield tar_header(entry)
    yield from _stream_entries(recipe, lambda path: path in written)
    yield generated
    yield TAR_END
    yield tar_padding(size)
    yield from package_database(recipe)
    yield TAR_END


def _read_contents(recipe: LayerRecipe) -> _KernelContents:
    found = _KernelContents()
    with ThreadPoolExecutor(_READER_THREADS) as pool:
        reading: deque[tuple[str, Future[KernelModule]]] = deque()
        for entry, tarball in _read_entries(recipe):
            path = entry.path
            if path.startswith("boot/") and entry.is_file:
                _read_boot_file(found, path.removeprefix("boot/"), entry, tarball)
            elif path.startswith(_MODULES) and path.count("/") >= 3:
                _, _, below = path.removeprefix(_MODULES).partition("/")
                if not below or below in _SKIPPED:
                    continue
                found.entries[path] = entry
                if entry.is_file and below in _MODULE_LISTS:
                    found.lists[below] = _read_content(entry, tarball)
                elif entry.is_file and is_module(below):
                    content = _read_content(entry, tarball)
                    reading.append((path, pool.submit(_parse_module, below, content)))
                    if len(reading) > _MAX_WAITING:
                        done, future = reading.popleft()
                        found.modules[done] = future.result()
        for done, future in reading:
            found.modules[done] = future.result()
    if len(found.kernels) != 1:
        has = " and ".join(sorted(found.kernels)) or "none"
        raise PackageError.of(
            packages.BAD_RECIPE,
            f"a kernel's packages have one kernel, and these have {has}",
            "name one package as linux-image-cloud-amd64; see `apt-cache search linux-image`",
        )
    for path in [p for p in found.entries if not p.startswith(f"{_MODULES}{found.version}/")]:
        del found.entries[path]
        found.modules.pop(path, None)
    return found


def _read_boot_file(
    found: _KernelContents, name: str, entry: DebTarEntry, tarball: TarReaderOfDeb
) -> None:
    kind, _, version = name.partition("-")
    if kind in ("vmlinuz", "vmlinux"):
        found.kernels[version] = _read_content(entry, tarball)
    elif kind == "config":
        found.configs[version] = _read_content(entry, tarball)


def _select_modules(found: _KernelContents, patterns: tuple[str, ...]) -> set[str]:
    """Return the paths of the modules to keep: those asked for, and what they need."""
    if not patterns:
        return set(found.modules)
    by_name = {m.name: m for m in found.modules.values()}
    built_in = {m for m, _, _ in builtin_modinfo(found.lists.get("modules.builtin.modinfo", b""))}
    listed = found.lists.get("modules.builtin", b"").decode("utf-8", "replace")
    built_in |= {module_name(line) for line in listed.splitlines()}
    names: set[str] = set()
    for pattern in patterns:
        some = {m.name for m in found.modules.values() if _matches(m, pattern)}
        plain = not set(pattern) & set("*?[/")
        if plain and not some and pattern.replace("-", "_") not in built_in:
            raise PackageError.of(
                packages.BAD_RECIPE, f"the kernel {found.version} has no module {pattern}"
            )
        names |= some
    todo = sorted(names)
    while todo:
        module = by_name[todo.pop()]
        needs = [d.name for d in module_dependencies(module, by_name)]
        needs += [name for name in module.soft_names if name in by_name]
        new = set(needs) - names
        names |= new
        todo += sorted(new)
    return {path for path, module in found.modules.items() if module.name in names}


def _matches(module: KernelModule, pattern: str) -> bool:
    if "/" in pattern:
        path = module.path.removeprefix("kernel/")
        return fnmatchcase(path, pattern) or fnmatchcase(path, pattern.rstrip("/") + "/*")
    return fnmatchcase(module.name, pattern.replace("-", "_"))


def _without_empty_directories(entries: list[DebTarEntry]) -> list[DebTarEntry]:
    needed = {
        "/".join(e.path.split("/")[:i])
        for e in entries
        if e.kind is not TarEntryKind.DIR
        for i in range(1, e.path.count("/") + 1)
    }
    return [e for e in entries if e.kind is not TarEntryKind.DIR or e.path in needed]


def _stream_entries(
    recipe: LayerRecipe, wanted: Callable[[str], bool]
) -> Iterator[bytes | memoryview]:
    seen: set[str] = set()
    for entry, tarball in _read_entries(recipe):
        if wanted(entry.path) and entry.path not in seen:
            seen.add(entry.path)
            yield tar_header(entry)
            if entry.is_file:
                yield from tarball.content()
                yield tar_padding(entry.size)


def _read_entries(recipe: LayerRecipe) -> Iterator[tuple[DebTarEntry, TarReaderOfDeb]]:
    for ingredient in recipe.ingredients:
        with open_deb(ingredient.path) as deb:
            tarball = deb.data()
            for entry in tarball:
                # Where /lib is a link to /usr/lib, older packages still say /lib.
                old = entry.path == "lib" or entry.path.startswith("lib/")
                yield (replace(entry, path=f"usr/{entry.path}") if old else entry), tarball


def _parse_module(path: str, content: bytes) -> KernelModule:
    try:
        return read_module(path, content)
    except ValueError as error:
        raise PackageError.of(
            packages.BROKEN_DEB, f"the kernel module {path} cannot be read: {error}"
        ) from error


def _read_content(entry: DebTarEntry, tarball: TarReaderOfDeb) -> bytes:
    if entry.size > _MAX_FILE_SIZE:
        raise PackageError.of(packages.BROKEN_DEB, f"/{entry.path} is too large")
    return b"".join(tarball.content())


def _parents(base: str, time: int) -> list[DebTarEntry]:
    parts = base.rstrip("/").split("/")
    return [
        DebTarEntry("/".join(parts[:i]), TarEntryKind.DIR, 0o755, mtime=time)
        for i in range(1, len(parts) + 1)
    ]
