"""The engine for machines without apt, which reads the same archives in Python."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from assembler.debian.archives.downloads import Downloader, HashingWriter, NotInRepositoryError
from assembler.debian.archives.index import IndexText, PackageIndex
from assembler.debian.archives.index_updates import StoredIndex, update_indexes
from assembler.debian.archives.kept_files import read_kept, write_kept
from assembler.debian.archives.resolver import resolve_packages
from assembler.debian.engine_protocol import (
    ArchiveSnapshot,
    PackageRequest,
    PinnedPackage,
    check_package_names,
    missing_index_error,
    missing_packages_error,
    unavailable_error,
)
from assembler.debian.pool import damage_warning, verify_package
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import pluralize, task
from assembler.oci import hold_lock, map_unordered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.debian.engine_context import EngineContext
    from assembler.debian.sources import AptSource

_JOBS = 4
_INDEX_LIST = "lists"


@dataclass(frozen=True, slots=True)
class PythonEngine:
    """Resolves and fetches packages in Python; its package lists are below the pool."""

    context: EngineContext

    def resolve(self, request: PackageRequest) -> tuple[PinnedPackage, ...]:
        """Return the requested packages and their dependencies, sorted by name."""
        check_package_names(request)
        sources = self._texts(request)
        if sources is None:  # a damaged one was removed, and is downloaded again
            sources = self._texts(request) or ()
        index = PackageIndex(sources, request.architecture)
        return tuple(sorted(stanza.package for stanza in resolve_packages(index, request)))

    def _texts(self, request: PackageRequest) -> Sequence[IndexText] | None:
        """Return the content of the package lists; None after a damaged one was removed."""
        sources = []
        for index in self._indexes(request, self.context.max_index_age):
            path = self._root(request) / index.file
            with wrap_os_errors(path, "read"):
                text = read_kept(path)
            if text is None:
                with wrap_os_errors(path, "remove"):
                    path.unlink(missing_ok=True)
                self.context.reporter.emit(damage_warning(str(path)))
                return None
            sources.append(IndexText(text, index.priority))
        return sources

    def snapshots(self, request: PackageRequest) -> tuple[ArchiveSnapshot, ...]:
        """Return the state of the archives that `resolve` used."""
        return tuple(dict.fromkeys(p.snapshot for p in self._indexes(request, float("inf"))))

    def fetch(self, suite: str, packages: Sequence[PinnedPackage]) -> list[Path]:
        """Return a verified file for each package; download those that are not in the pool."""
        missing = [
            package for package in dict.fromkeys(packages) if not self.context.pool.has(package)
        ]
        if missing:
            entries = self.context.archives(suite, ("main",))
            if not entries:
                raise missing_packages_error(missing)
            bases = tuple(dict.fromkeys(e.uri.rstrip("/") for e in entries))
            total = sum(package.size for package in missing)
            what = pluralize(len(missing), "Debian package")
            self.context.pool.check_room(total, what)
            title = f"fetch {what}"
            with task(self.context.reporter, title, total) as progress:
                downloader = Downloader()
                download = partial(self._download, downloader, bases)
                for outcome in map_unordered(
                    missing, download, _JOBS, downloader.stopped, downloader.close
                ):
                    if outcome.error is not None:
                        raise outcome.error
                    progress.advance(outcome.item.size)
        return [self.context.pool.use(package) for package in packages]

    def _download(
        self, downloader: Downloader, bases: Sequence[str], package: PinnedPackage, _: object
    ) -> None:
        """Download a package from the first archive that has it with the right digest."""
        last_error: PackageError | None = None
        for base in bases:
            uri = f"{base}/{quote(package.path, safe='/:')}"
            try:
                with self.context.pool.create(package) as file:
                    writer = HashingWriter(file)
                    downloader.download(uri, package.size, writer.write, writer.restart)
                    verify_package(package, writer.sha256, writer.size)
            except NotInRepositoryError:
                continue
            except PackageError as error:
                last_error = error  # another mirror may have the right file
            else:
                return
        raise last_error or unavailable_error([package])

    def _root(self, request: PackageRequest) -> Path:
        entries = self._entries(request)
        text = "\n".join(line for entry in entries for line in entry.lines())
        key = hashlib.sha256(f"{request.architecture}\n{text}".encode()).hexdigest()[:16]
        return self.context.pool.root.absolute() / "python" / key

    def _entries(self, request: PackageRequest) -> tuple[AptSource, ...]:
        return self.context.mirrors.entries(request.suite, request.components)

    def _indexes(self, request: PackageRequest, max_age: float) -> tuple[StoredIndex, ...]:
        """Return the package lists of the archives, and update them if they are too old."""
        root = self._root(request)
        with wrap_os_errors(root):
            root.mkdir(parents=True, exist_ok=True)
        with hold_lock(root / "lock"):
            may_update = self.context.may_update(request)
            indexes = _read_stored_indexes(
                root / _INDEX_LIST, max_age if may_update else float("inf")
            )
            if indexes is None and not may_update:
                raise missing_index_error(request)
            if indexes is None:
                title = f"update the package lists of {request.suite} for {request.architecture}"
                with task(self.context.reporter, title, None):
                    indexes = tuple(
                        update_indexes(root, self._entries(request), request.architecture)
                    )
                rows = [index.as_json() for index in indexes]
                write_kept(root / _INDEX_LIST, [json.dumps(rows).encode()])
                _remove_old_indexes(root, {index.file for index in indexes})
        return indexes


def _read_stored_indexes(path: Path, max_age: float) -> tuple[StoredIndex, ...] | None:
    """Return the package lists of the last update, or None if they are too old or broken."""
    try:
        if not 0 <= time.time() - path.stat().st_mtime < max_age:
            return None
        indexes = tuple(StoredIndex.from_json(row) for row in json.loads(read_kept(path) or b""))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return indexes if all((path.parent / index.file).is_file() for index in indexes) else None


def _remove_old_indexes(root: Path, needed: set[str]) -> None:
    """Remove the package lists of earlier updates."""
    for path in root.iterdir():
        if path.name not in (*needed, _INDEX_LIST, "lock"):
            with suppress(OSError):
                path.unlink()
