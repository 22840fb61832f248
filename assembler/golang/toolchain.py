"""The Go toolchain of an image, unpacked below the store and run from there.

Go's programs are linked statically: they need neither a namespace nor the libraries of their image.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import WarningEmitted, task
from assembler.files import disk_usage
from assembler.golang.toolchain_manifest import (
    has_manifest,
    is_intact,
    was_verified,
    write_manifest,
)
from assembler.oci import FILE, LayerBlob, flatten_layers, hold_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci import Image, LayerLimits, Store, TarReader, VerifyReport

# Debian divides GOROOT between two folders; other images of Go have it in /usr/local/go.
_GOROOT = re.compile(r"(?:usr/(?:lib|share)/go-\d+\.\d+|usr/local/go)/(?P<path>.+)")
_NAME = re.compile(r"[A-Za-z0-9_.@+,=~%!-]+")
_LARGEST = 1 << 30


def toolchains_directory(store: Store) -> Path:
    """Return the directory with the toolchains of a store, and their cache."""
    return store.root.absolute() / "toolchains"


def toolchains_size(store: Store) -> int:
    """Return the size of all toolchains and their cache in bytes."""
    return disk_usage(toolchains_directory(store))


def prune_toolchains(store: Store) -> int:
    """Remove all toolchains and their cache when no compilation uses them; return the size."""
    directory = toolchains_directory(store)
    if not directory.is_dir():
        return 0
    with hold_lock(store.layout.locks / "toolchains"):
        size = toolchains_size(store)
        shutil.rmtree(directory, ignore_errors=True)
        return size - toolchains_size(store)


@contextmanager
def toolchain(
    store: Store, image: Image, reporter: Reporter, limits: LayerLimits | None = None
) -> Iterator[Path]:
    """Yield GOROOT of an image, which is not removed before the block ends."""
    store.layout.prepare()
    with hold_lock(store.layout.locks / "toolchains", shared=True):
        yield _unpack(store, image, reporter, limits)


def verify_toolchains(store: Store, report: VerifyReport, reporter: Reporter) -> None:
    """Verify all toolchains, and add the result to the report; damaged ones are removed."""
    found = [p for p in sorted(toolchains_directory(store).glob("*")) if has_manifest(p)]
    if not found:
        return
    store.layout.prepare()
    with (
        task(reporter, "verify Go toolchains", None) as progress,
        hold_lock(store.layout.locks / "toolchains"),
    ):
        for goroot in found:
            if is_intact(goroot):
                report.others += 1
                report.other_bytes += disk_usage(goroot)
                continue
            message = f"{goroot}: the files do not match their checksums"
            shutil.rmtree(goroot, ignore_errors=True)
            if goroot.exists():
                why = f"{message}; it cannot be removed"
                report.add_problem(packages.DAMAGED_FILE, why, f"rm -r {goroot}")
            else:
                report.repaired.append(f"{message}; removed, builds unpack it again")
        progress.outcome = "verified"


def _unpack(store: Store, image: Image, reporter: Reporter, limits: LayerLimits | None) -> Path:
    parent = toolchains_directory(store)
    goroot = parent / image.digest.replace(":", "-")
    with hold_lock(store.layout.locks / "toolchain-unpacking"), wrap_os_errors(parent):
        if has_manifest(goroot):
            if was_verified(goroot) or is_intact(goroot):
                return goroot
            reporter.emit(
                WarningEmitted(
                    Diagnostic(
                        packages.DAMAGED_FILE,
                        f"the Go toolchain {goroot} was damaged, and is unpacked again",
                        hints=("check the disk, unless the power has failed",),
                        severity=Severity.WARNING,
                    )
                )
            )
        shutil.rmtree(goroot, ignore_errors=True)
        goroot.mkdir(parents=True)
        what = str(image.reference)
        layers = [
            LayerBlob(d.digest, d.size, partial(store.open, d, what)) for d in image.manifest.layers
        ]
        try:
            flatten_layers(what, layers, _GorootWriter(what, goroot), limits=limits)
        except BaseException:
            shutil.rmtree(goroot, ignore_errors=True)
            raise
        if not (goroot / "bin/go").exists():
            shutil.rmtree(goroot, ignore_errors=True)
            raise PackageError.of(
                packages.NO_GO_TOOLCHAIN,
                f"{what} has no Go toolchain",
                "name an image with Go in /usr/lib/go-VERSION or /usr/local/go, such as "
                "@dolmen:toolchain-go",
            )
        write_manifest(goroot)
    return goroot


class _GorootWriter:
    """Writes the regular files of GOROOT into an empty directory.

    Links are left out, so that no name of the image leads anywhere else.
    """

    def __init__(self, what: str, goroot: Path) -> None:
        self._what, self._goroot = what, goroot
        self.restart()

    def restart(self) -> None:
        self._written = 0
        self._paths: dict[bytes, Path] = {}
        for path in self._goroot.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def add(self, name: bytes, reader: TarReader) -> None:
        path = self._path(name)
        if path is None or reader.kind != FILE:
            return
        self._written += reader.size
        if self._written > _LARGEST:
            raise PackageError.of(
                packages.NO_GO_TOOLCHAIN, f"the Go toolchain of {self._what} is larger than 1 GiB"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            reader.write_to(file.write)
        # Only what is run is executable.
        path.chmod(0o755 if reader.mode & 0o100 else 0o644)
        self._paths[name] = path

    def link(self, name: bytes, target: bytes, _reader: TarReader) -> None:
        path = self._path(name)
        if path is not None and target in self._paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(self._paths[target], path)
            self._paths[name] = path

    def _path(self, name: bytes) -> Path | None:
        match = _GOROOT.fullmatch(name.decode("utf-8", "replace"))
        if match is None:
            return None
        parts = match["path"].split("/")
        if not all(_NAME.fullmatch(part) and part not in {".", ".."} for part in parts):
            return None
        return self._goroot.joinpath(*parts)
