"""Make the layer of a kernel image from Debian's kernel packages: `kernel` and `kernel.tar`.

The packages are read twice, because the size of kernel.tar comes before its content: first to
list and select the files, then to stream them.
"""

from __future__ import annotations

from collections import deque
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
from assembler.debian.tarball import DebTarEntry, DebTarReader, TarEntryKind
from assembler.errors import PackageError, wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.debian.layer_inputs import LayerInputs

# The beginnings of the names of packages with kernels.
KERNEL_PACKAGES = ("linux-image-", "linux-modules-")
_MODULES = "usr/lib/modules/"
# Symbolic links to the headers, which an image does not have.
_BUILD_LINKS = ("build", "source")
_MAX_FILE_SIZE = 192 << 20
# Several threads decompress modules; this many modules wait in memory at most.
_READER_THREADS = 2
_CHUNK = 1 << 18
_MAX_PENDING = 8
_MODULE_LISTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")


@dataclass(slots=True)
class _KernelContents:
    """The kernel, its config and its modules in the packages."""

    # By version; more than one version is an error.
    kernels: dict[str, bytes] = field(default_factory=dict)
    configs: dict[str, bytes] = field(default_factory=dict)
    modules: dict[str, KernelModule] = field(default_factory=dict)
    lists: dict[str, bytes] = field(default_factory=dict)
    # All entries below usr/lib/modules, in the packages' order.
    entries: dict[str, DebTarEntry] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Return the version of the one kernel."""
        return next(iter(self.kernels))


def kernel_layer(inputs: LayerInputs) -> Iterator[bytes | memoryview]:
    """Yield the tar of a kernel image's layer."""
    contents = _read_contents(inputs)
    selected = _select_modules(contents, inputs.debs.modules)
    base = f"{_MODULES}{contents.version}/"
    indexes = {
        name: content
        for name, content in module_indexes(
            [m for p, m in contents.modules.items() if p in selected],
            *(contents.lists.get(name, b"") for name in _MODULE_LISTS),
        ).items()
        if contents.modules or contents.lists
    }
    module_entries = [
        e
        for path, e in contents.entries.items()
        if (not is_module(path) or path in selected) and path.removeprefix(base) not in indexes
    ]
    if inputs.debs.modules:
        module_entries = _drop_empty_directories(module_entries)
    entries = [*_parent_directories(base, inputs.timestamp), *module_entries]
    paths = {e.path for e in module_entries}

    def file(path: str, content: bytes, mode: int = 0o644) -> Iterator[bytes]:
        size = len(content)
        yield from tar_file(
            DebTarEntry(path, TarEntryKind.FILE, mode, 0, 0, inputs.timestamp, size), content
        )

    yield from file("kernel", contents.kernels[contents.version])
    if contents.version in contents.configs:
        yield from file("kernel-config", contents.configs[contents.version])
    generated = b"".join(
        b"".join(file(base + name, content)) for name, content in sorted(indexes.items())
    )
    size = sum(len(tar_header(e)) + e.size + len(tar_padding(e.size)) for e in entries)
    size += len(generated) + len(TAR_END)
    yield tar_header(
        DebTarEntry("kernel.tar", TarEntryKind.FILE, 0o644, 0, 0, inputs.timestamp, size)
    )
    for entry in _parent_directories(base, inputs.timestamp):
        yield tar_header(entry)
    yield from _stream_entries(inputs, lambda path: path in paths)
    yield generated
    yield TAR_END
    yield tar_padding(size)
    yield from package_database(inputs)
    yield TAR_END


def wanted_firmware(inputs: LayerInputs) -> frozenset[str]:
    """Return the paths of the firmware that the modules of a recipe ask for, with wild cards.

    Without a selection of modules, drivers that are built into the kernel count as well.
    """
    contents = _read_contents(inputs)
    selected = _select_modules(contents, inputs.debs.modules)
    wanted = {f for p, m in contents.modules.items() if p in selected for f in m.firmware}
    if not inputs.debs.modules:
        built_in = builtin_modinfo(contents.lists.get("modules.builtin.modinfo", b""))
        wanted |= {value for _, key, value in built_in if key == "firmware"}
    return frozenset(wanted)


def _read_contents(inputs: LayerInputs) -> _KernelContents:
    contents = _KernelContents()
    with ThreadPoolExecutor(_READER_THREADS) as pool:
        pending: deque[tuple[str, Future[KernelModule]]] = deque()
        for entry, tarball in _read_entries(inputs):
            path = entry.path
            if path.startswith("boot/") and entry.is_file:
                _read_boot_file(contents, path.removeprefix("boot/"), entry, tarball)
            elif path.startswith(_MODULES) and path.count("/") >= 3:
                _, _, relative_path = path.removeprefix(_MODULES).partition("/")
                if not relative_path or relative_path in _BUILD_LINKS:
                    continue
                contents.entries[path] = entry
                if entry.is_file and relative_path in _MODULE_LISTS:
                    contents.lists[relative_path] = _read_content(entry, tarball)
                elif entry.is_file and is_module(relative_path):
                    content = _read_content(entry, tarball)
                    pending.append((path, pool.submit(_parse_module, relative_path, content)))
                    if len(pending) > _MAX_PENDING:
                        read_path, future = pending.popleft()
                        contents.modules[read_path] = future.result()
        for read_path, future in pending:
            contents.modules[read_path] = future.result()
    if len(contents.kernels) != 1:
        versions = " and ".join(sorted(contents.kernels)) or "none"
        raise PackageError.of(
            packages.BAD_RECIPE,
            f"the packages must have one kernel version, and they have {versions}",
            "name one package, such as linux-image-cloud-amd64; see `apt-cache search linux-image`",
        )
    for path in [p for p in contents.entries if not p.startswith(f"{_MODULES}{contents.version}/")]:
        del contents.entries[path]
        contents.modules.pop(path, None)
    return contents


def _read_boot_file(
    contents: _KernelContents, name: str, entry: DebTarEntry, tarball: DebTarReader
) -> None:
    kind, _, version = name.partition("-")
    if kind in ("vmlinuz", "vmlinux"):
        contents.kernels[version] = _read_content(entry, tarball)
    elif kind == "config":
        contents.configs[version] = _read_content(entry, tarball)


def _select_modules(contents: _KernelContents, patterns: tuple[str, ...]) -> set[str]:
    """Return the paths of the modules that match the patterns, and of their dependencies."""
    if not patterns:
        return set(contents.modules)
    by_name = {m.name: m for m in contents.modules.values()}
    built_in = {
        m for m, _, _ in builtin_modinfo(contents.lists.get("modules.builtin.modinfo", b""))
    }
    builtin_list = contents.lists.get("modules.builtin", b"").decode("utf-8", "replace")
    built_in |= {module_name(line) for line in builtin_list.splitlines()}
    names: set[str] = set()
    for pattern in patterns:
        matches = {m.name for m in contents.modules.values() if _matches(m, pattern)}
        is_name = not set(pattern) & set("*?[/")
        if is_name and not matches and pattern.replace("-", "_") not in built_in:
            raise PackageError.of(
                packages.BAD_RECIPE, f"the kernel {contents.version} has no module {pattern}"
            )
        names |= matches
    todo = sorted(names)
    while todo:
        module = by_name[todo.pop()]
        dependencies = [d.name for d in module_dependencies(module, by_name)]
        dependencies += [name for name in module.soft_dependencies if name in by_name]
        missing = set(dependencies) - names
        names |= missing
        todo += sorted(missing)
    return {path for path, module in contents.modules.items() if module.name in names}


def _matches(module: KernelModule, pattern: str) -> bool:
    if "/" in pattern:
        path = module.path.removeprefix("kernel/")
        return fnmatchcase(path, pattern) or fnmatchcase(path, pattern.rstrip("/") + "/*")
    return fnmatchcase(module.name, pattern.replace("-", "_"))


def _drop_empty_directories(entries: list[DebTarEntry]) -> list[DebTarEntry]:
    needed = {
        "/".join(e.path.split("/")[:i])
        for e in entries
        if e.kind is not TarEntryKind.DIR
        for i in range(1, e.path.count("/") + 1)
    }
    return [e for e in entries if e.kind is not TarEntryKind.DIR or e.path in needed]


def _stream_entries(
    inputs: LayerInputs, is_selected: Callable[[str], bool]
) -> Iterator[bytes | memoryview]:
    seen: set[str] = set()
    for entry, tarball in _read_entries(inputs):
        if is_selected(entry.path) and entry.path not in seen:
            seen.add(entry.path)
            yield tar_header(entry)
            if entry.is_file:
                yield from tarball.content()
                yield tar_padding(entry.size)


def _read_entries(inputs: LayerInputs) -> Iterator[tuple[DebTarEntry, DebTarReader]]:
    if inputs.kernel is not None:
        with wrap_os_errors(inputs.kernel, "read"), inputs.kernel.open("rb") as file:
            compiled = DebTarReader(iter(lambda: file.read(_CHUNK), b""))
            for entry in compiled:
                yield entry, compiled
        return
    for package in inputs.packages:
        with open_deb(package.path) as deb:
            tarball = deb.data()
            for entry in tarball:
                # Packages of suites before the merged /usr have their modules in /lib.
                unmerged = entry.path == "lib" or entry.path.startswith("lib/")
                yield (replace(entry, path=f"usr/{entry.path}") if unmerged else entry), tarball


def _parse_module(path: str, content: bytes) -> KernelModule:
    try:
        return read_module(path, content)
    except ValueError as error:
        raise PackageError.of(
            packages.BROKEN_DEB, f"the kernel module {path} cannot be read: {error}"
        ) from error


def _read_content(entry: DebTarEntry, tarball: DebTarReader) -> bytes:
    if entry.size > _MAX_FILE_SIZE:
        raise PackageError.of(packages.BROKEN_DEB, f"/{entry.path} is too large")
    return b"".join(tarball.content())


def _parent_directories(base: str, timestamp: int) -> list[DebTarEntry]:
    parts = base.rstrip("/").split("/")
    return [
        DebTarEntry("/".join(parts[:i]), TarEntryKind.DIR, 0o755, mtime=timestamp)
        for i in range(1, len(parts) + 1)
    ]
