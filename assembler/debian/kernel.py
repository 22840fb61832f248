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
from assembler.debian.archive import opened
from assembler.debian.depmod import dependencies, indexes
from assembler.debian.layer import database
from assembler.debian.modules import Module, builtin_infos, is_module, name_of, read_module
from assembler.debian.tar_headers import END, file_chunks, header, padding
from assembler.debian.tarball import Kind, TarEntry
from assembler.errors import PackageError

if TYPE_CHECKING:
    from assembler.debian.layer import Recipe
    from assembler.debian.tarball import Tarball

_MODULES = "usr/lib/modules/"
# What is built on the machine the package is built for, and of no use in an image.
_NOT_WANTED = ("build", "source")
_LARGEST_MEMBER = 192 << 20
# Modules are inflated by several threads; so many wait in memory at most.
_READERS = 2
_MOST_WAITING = 8
_LISTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")


@dataclass(slots=True)
class _Contents:
    """What the packages of a kernel have."""

    # By version; in the end there is one.
    kernels: dict[str, bytes] = field(default_factory=dict)
    configs: dict[str, bytes] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)
    lists: dict[str, bytes] = field(default_factory=dict)
    # Everything below the directory of modules, in the packages' order.
    entries: dict[str, TarEntry] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Return the version of the one kernel."""
        return next(iter(self.kernels))


def kernel_layer(recipe: Recipe) -> Iterator[bytes | memoryview]:
    """Yield the tar of a kernel image's layer."""
    found = _survey(recipe)
    wanted = _selected(found, recipe.debs.modules)
    base = f"{_MODULES}{found.version}/"
    made = {
        name: content
        for name, content in indexes(
            [m for p, m in found.modules.items() if p in wanted],
            *(found.lists.get(name, b"") for name in _LISTS),
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
        yield from file_chunks(TarEntry(path, Kind.FILE, mode, 0, 0, recipe.time, size), content)

    yield from file("kernel", found.kernels[found.version])
    if found.version in found.configs:
        yield from file("kernel-config", found.configs[found.version])
    generated = b"".join(
        b"".join(file(base + name, content)) for name, content in sorted(made.items())
    )
    size = sum(len(header(e)) + e.size + len(padding(e.size)) for e in entries)
    size += len(generated) + len(END)
    yield header(TarEntry("kernel.tar", Kind.FILE, 0o644, 0, 0, recipe.time, size))
    for entry in _parents(base, recipe.time):
        yield header(entry)
    yield from _streamed(recipe, lambda path: path in written)
    yield generated
    yield END
    yield padding(size)
    yield from database(recipe)
    yield END


def _survey(recipe: Recipe) -> _Contents:
    found = _Contents()
    with ThreadPoolExecutor(_READERS) as pool:
        reading: deque[tuple[str, Future[Module]]] = deque()
        for entry, tarball in _files(recipe):
            path = entry.path
            if path.startswith("boot/") and entry.is_file:
                _boot(found, path.removeprefix("boot/"), entry, tarball)
            elif path.startswith(_MODULES) and path.count("/") >= 3:
                _, _, below = path.removeprefix(_MODULES).partition("/")
                if not below or below in _NOT_WANTED:
                    continue
                found.entries[path] = entry
                if entry.is_file and below in _LISTS:
                    found.lists[below] = _whole(entry, tarball)
                elif entry.is_file and is_module(below):
                    content = _whole(entry, tarball)
                    reading.append((path, pool.submit(_module, below, content)))
                    if len(reading) > _MOST_WAITING:
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


def _boot(found: _Contents, name: str, entry: TarEntry, tarball: Tarball) -> None:
    kind, _, version = name.partition("-")
    if kind in ("vmlinuz", "vmlinux"):
        found.kernels[version] = _whole(entry, tarball)
    elif kind == "config":
        found.configs[version] = _whole(entry, tarball)


def _selected(found: _Contents, patterns: tuple[str, ...]) -> set[str]:
    """Return the paths of the modules to keep: those asked for, and what they need."""
    if not patterns:
        return set(found.modules)
    by_name = {m.name: m for m in found.modules.values()}
    built_in = {m for m, _, _ in builtin_infos(found.lists.get("modules.builtin.modinfo", b""))}
    listed = found.lists.get("modules.builtin", b"").decode("utf-8", "replace")
    built_in |= {name_of(line) for line in listed.splitlines()}
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
        needs = [d.name for d in dependencies(module, by_name)]
        needs += [name for name in module.soft_names if name in by_name]
        new = set(needs) - names
        names |= new
        todo += sorted(new)
    return {path for path, module in found.modules.items() if module.name in names}


def _matches(module: Module, pattern: str) -> bool:
    if "/" in pattern:
        path = module.path.removeprefix("kernel/")
        return fnmatchcase(path, pattern) or fnmatchcase(path, pattern.rstrip("/") + "/*")
    return fnmatchcase(module.name, pattern.replace("-", "_"))


def _without_empty_directories(entries: list[TarEntry]) -> list[TarEntry]:
    needed = {
        "/".join(e.path.split("/")[:i])
        for e in entries
        if e.kind is not Kind.DIR
        for i in range(1, e.path.count("/") + 1)
    }
    return [e for e in entries if e.kind is not Kind.DIR or e.path in needed]


def _streamed(recipe: Recipe, wanted: Callable[[str], bool]) -> Iterator[bytes | memoryview]:
    seen: set[str] = set()
    for entry, tarball in _files(recipe):
        if wanted(entry.path) and entry.path not in seen:
            seen.add(entry.path)
            yield header(entry)
            if entry.is_file:
                yield from tarball.content()
                yield padding(entry.size)


def _files(recipe: Recipe) -> Iterator[tuple[TarEntry, Tarball]]:
    for ingredient in recipe.ingredients:
        with opened(ingredient.path) as deb:
            tarball = deb.data()
            for entry in tarball:
                # Where /lib is a link to /usr/lib, older packages still say /lib.
                old = entry.path == "lib" or entry.path.startswith("lib/")
                yield (replace(entry, path=f"usr/{entry.path}") if old else entry), tarball


def _module(path: str, content: bytes) -> Module:
    try:
        return read_module(path, content)
    except ValueError as error:
        raise PackageError.of(
            packages.BROKEN_DEB, f"the kernel module {path} cannot be read: {error}"
        ) from error


def _whole(entry: TarEntry, tarball: Tarball) -> bytes:
    if entry.size > _LARGEST_MEMBER:
        raise PackageError.of(packages.BROKEN_DEB, f"/{entry.path} is too large")
    return b"".join(tarball.content())


def _parents(base: str, time: int) -> list[TarEntry]:
    parts = base.rstrip("/").split("/")
    return [
        TarEntry("/".join(parts[:i]), Kind.DIR, 0o755, mtime=time) for i in range(1, len(parts) + 1)
    ]
