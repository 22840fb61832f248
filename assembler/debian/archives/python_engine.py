"""The engine for machines without apt: the same archives, read, believed and resolved in Python."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from assembler.debian.archives.downloads import Downloader, FileNotInArchiveError, HashingWriter
from assembler.debian.archives.index import IndexText, PackageIndex
from assembler.debian.archives.index_updates import StoredIndex, update_indexes
from assembler.debian.archives.resolver import resolve_packages
from assembler.debian.engine import (
    ArchiveSnapshot,
    PackageRequest,
    PinnedPackage,
    check_package_names,
    unavailable_error,
)
from assembler.debian.engine_context import EngineContext
from assembler.debian.pool import verify_package
from assembler.debian.sources import AptSource
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import pluralize, task
from assembler.files import atomic_write
from assembler.oci import hold_lock, map_unordered

_JOBS = 4
_STORED_INDEXES = "known"


@dataclass(frozen=True, slots=True)
class PythonEngine:
    """Resolves and fetches by itself, what it knows of archives kept below the pool."""

    supply: EngineContext

    def resolve(self, request: PackageRequest) -> tuple[PinnedPackage, ...]:
        """Return all packages that the request comes to, in order of their names."""
        check_package_names(request)
        parts = self._known(request, self.supply.fresh_for)
        sources = []
        for part in parts:
            path = self._root(request) / part.file
            with wrap_os_errors(path, "read"):
                sources.append(IndexText(path.read_bytes(), part.priority))
        index = PackageIndex(sources, request.architecture)
        return tuple(sorted(one.chosen for one in resolve_packages(index, request)))

    def snapshots(self, request: PackageRequest) -> tuple[ArchiveSnapshot, ...]:
        """Return what the archives were that `resolve` has just chosen from."""
        return tuple(dict.fromkeys(p.snapshot for p in self._known(request, float("inf"))))

    def fetch(self, suite: str, chosen: Sequence[PinnedPackage]) -> list[Path]:
        """Return a verified file for each package; what is not in the pool comes from a mirror."""
        missing = [c for c in dict.fromkeys(chosen) if not self.supply.pool.has(c)]
        if missing:
            entries = self.supply.mirrors.entries(suite, ("main",))
            bases = tuple(dict.fromkeys(e.uri.rstrip("/") for e in entries))
            total = sum(c.size for c in missing)
            title = f"fetch {pluralize(len(missing), 'Debian package')}"
            with task(self.supply.reporter, title, total) as progress:
                reader = Downloader()
                work = partial(self._bring, reader, bases)
                for done in map_unordered(missing, work, _JOBS, reader.stop, reader.close):
                    if done.error is not None:
                        raise done.error
                    progress.advance(done.item.size)
        return [self.supply.pool.used(c) for c in chosen]

    def _bring(
        self, reader: Downloader, bases: Sequence[str], one: PinnedPackage, _: object
    ) -> None:
        """Fetch a package from the first archive that has it as it was chosen."""
        refusal: PackageError | None = None
        for base in bases:
            uri = f"{base}/{quote(one.path, safe='/:')}"
            try:
                with self.supply.pool.arriving(one) as file:
                    arriving = HashingWriter(file)
                    reader.copy(uri, one.size, arriving.write, arriving.again)
                    verify_package(one, arriving.sha256, arriving.size)
            except FileNotInArchiveError:
                continue
            except PackageError as error:
                refusal = error  # another mirror may have it as it should be
            else:
                return
        raise refusal or unavailable_error([one])

    def _root(self, request: PackageRequest) -> Path:
        entries = self._entries(request)
        text = "\n".join(line for entry in entries for line in entry.lines())
        key = hashlib.sha256(f"{request.architecture}\n{text}".encode()).hexdigest()[:16]
        return self.supply.pool.root.absolute() / "python" / key

    def _entries(self, request: PackageRequest) -> tuple[AptSource, ...]:
        return self.supply.mirrors.entries(request.suite, request.components)

    def _known(self, request: PackageRequest, fresh_for: float) -> tuple[StoredIndex, ...]:
        """Return the indexes of the archives, fetched again if they are not fresh."""
        root = self._root(request)
        with wrap_os_errors(root):
            root.mkdir(parents=True, exist_ok=True)
        with hold_lock(root / "lock"):
            known = _read_stored_indexes(root / _STORED_INDEXES, fresh_for)
            if known is None:
                what = f"ask what {request.suite} has for {request.architecture}"
                with task(self.supply.reporter, what, None):
                    known = tuple(
                        update_indexes(root, self._entries(request), request.architecture)
                    )
                with atomic_write(root / _STORED_INDEXES, durable=False) as file:
                    file.write(json.dumps([part.as_json() for part in known]).encode())
                _remove_unneeded(root, {part.file for part in known})
        return known


def _read_stored_indexes(path: Path, fresh_for: float) -> tuple[StoredIndex, ...] | None:
    """Return what was known of archives the last time, if that is not too long ago."""
    try:
        if not 0 <= time.time() - path.stat().st_mtime < fresh_for:
            return None
        known = tuple(StoredIndex.from_json(row) for row in json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if all((path.parent / part.file).is_file() for part in known) else None


def _remove_unneeded(root: Path, needed: set[str]) -> None:
    """Remove indexes of earlier times."""
    for path in root.glob("*.index"):
        if path.name not in needed:
            with suppress(OSError):
                path.unlink()
