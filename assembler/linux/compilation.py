"""The compilation of a kernel: once for each source, configuration and compiler."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import task
from assembler.files import atomic_write
from assembler.golang import toolchains_directory
from assembler.linux.configuration import (
    TREE_PREFIX,
    configure_kernel,
    open_kernel_tree,
    select_words,
)
from assembler.linux.toolchain_root import BUILD, unpack_toolchain
from assembler.oci import hold_lock, host_platform, resolve_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import IO

    from assembler.config import LinuxSource
    from assembler.events import Reporter
    from assembler.linux.configuration import KernelTree
    from assembler.oci import ImageSources, Platform, Reference, Store

# A change of what is made of the same inputs gets the next number.
_FORM = 1
_INSTALLED = "installed"
_HEADERS = "headers"
_HEADERS_SCRIPT = "scripts/package/install-extmod-build"
_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class KernelBuild:
    """A kernel to compile."""

    linux: LinuxSource
    # The directory that the names of fragments are relative to.
    directory: Path
    toolchain: Reference
    platform: Platform
    # The file of a Debian package linux-source-…, and its time.
    source: Path
    timestamp: int
    workspace: Path


def compile_kernel(
    store: Store, build: KernelBuild, sources: ImageSources, reporter: Reporter
) -> Path:
    """Return a tar with the kernel, its config, modules and headers, at Debian's paths.

    The tar is kept below the store.
    """
    image = resolve_images({build.toolchain: None}, host_platform(), sources, reporter)[
        build.toolchain
    ]
    key = _cache_key(build, image.digest)
    kept = toolchains_directory(store) / "cache/kernels" / f"{key}.tar"
    store.layout.prepare()
    with (
        hold_lock(store.layout.locks / "toolchains", shared=True),
        hold_lock(store.layout.locks / f"kernel-{key[:32]}"),
    ):
        if kept.is_file():
            return kept
        with task(reporter, f"unpack {build.toolchain}"):
            root = unpack_toolchain(store, image, build.workspace / "root", sources.layer_limits())
        tree = open_kernel_tree(root, build.source, build.platform, build.timestamp, reporter)
        configure_kernel(tree, build.linux.config, build.directory, reporter)
        with task(reporter, f"compile the kernel for {build.platform}"):
            _compile(tree, build.linux.make, reporter)
        with wrap_os_errors(kept.parent):
            kept.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(kept, durable=False) as file:
                _write_tar(tree, file)
    return kept


def _cache_key(build: KernelBuild, toolchain: str) -> str:
    """Return the hash of all that the kernel is made of."""
    fragments = []
    for name in select_words(build.linux.config, build.platform):
        # The source's own fragments are part of the package.
        text = ""
        if not name.startswith(TREE_PREFIX):
            path = build.directory / name
            with wrap_os_errors(path, "read"):
                text = hashlib.sha256(path.read_bytes()).hexdigest()
        fragments.append([name, text])
    digest = hashlib.sha256()
    with wrap_os_errors(build.source, "read"), build.source.open("rb") as file:
        while chunk := file.read(_HASHED_AT_ONCE):
            digest.update(chunk)
    inputs = [_FORM, digest.hexdigest(), toolchain, str(build.platform), fragments]
    if build.linux.make:
        inputs.append(select_words(build.linux.make, build.platform))
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _compile(tree: KernelTree, variables: Sequence[str], reporter: Reporter) -> None:
    jobs = f"-j{os.cpu_count() or 1}"
    words = select_words(variables, tree.platform)
    targets = [target for target, _ in tree.architecture.images]
    tree.make(jobs, *words, *targets, "modules", reporter=reporter, environment={})
    # The lists of dependencies are made with the image, of those modules that it has.
    install = {
        "INSTALL_MOD_PATH": f"/{BUILD}/{_INSTALLED}",
        "INSTALL_MOD_STRIP": "1",
        "DEPMOD": "true",
    }
    tree.make("modules_install", reporter=reporter, environment=install)
    if (tree.source / _HEADERS_SCRIPT).is_file():
        command = f"+/{BUILD}/linux/{_HEADERS_SCRIPT} /{BUILD}/{_HEADERS}"
        tree.make("run-command", reporter=reporter, environment={"KBUILD_RUN_COMMAND": command})


def _write_tar(tree: KernelTree, file: IO[bytes]) -> None:
    """Write the results in the order of their paths, with the time of the source."""
    release = (tree.output / "include/config/kernel.release").read_text().strip()
    boot = tree.output / "arch" / tree.architecture.folder / "boot"
    image = next((boot / n for _, n in tree.architecture.images if (boot / n).is_file()), None)
    if image is None:
        raise PackageError.of(packages.KERNEL_BUILD_FAILED, "the kernel was not compiled")
    build = tree.root.build
    modules = build / _INSTALLED / "lib/modules" / release
    found = {
        f"boot/config-{release}": tree.output / ".config",
        f"boot/vmlinuz-{release}": image,
        **dict(_files(modules, f"usr/lib/modules/{release}")),
        **dict(_files(build / _HEADERS, f"usr/src/linux-headers-{release}")),
    }
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in sorted(found.items()):
            _add(archive, name, path, tree.timestamp)


def _files(directory: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Yield the directory and all below it, but not the links to the directories of the build."""
    if not directory.is_dir():
        return
    yield prefix, directory
    for path in directory.rglob("*"):
        name = path.relative_to(directory).as_posix()
        if name not in ("build", "source"):
            yield f"{prefix}/{name}", path


def _add(archive: tarfile.TarFile, name: str, path: Path, timestamp: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.mtime = timestamp
    if path.is_symlink():
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        archive.addfile(entry)
    elif path.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
    else:
        content = path.read_bytes()
        entry.size = len(content)
        entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        archive.addfile(entry, BytesIO(content))
