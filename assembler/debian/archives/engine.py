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

from assembler.debian.archives.index import Index, Source
from assembler.debian.archives.reading import Hashed, Missing, Reader
from assembler.debian.archives.resolving import resolve
from assembler.debian.archives.updating import Part, update
from assembler.debian.engine import (
    Chosen,
    Request,
    Snapshot,
    check_names,
    gone,
)
from assembler.debian.pool import check
from assembler.debian.sources import Entry
from assembler.debian.supply import Supply
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import pluralize, task
from assembler.files import atomic_write
from assembler.oci import hold_lock, map_unordered

_JOBS = 4
_KNOWN = "known"


@dataclass(frozen=True, slots=True)
class PythonEngine:
    """Resolves and fetches by itself, what it knows of archives kept below the pool."""

    supply: Supply

    def resolve(self, request: Request) -> tuple[Chosen, ...]:
        """Return all packages that the request comes to, in order of their names."""
        check_names(request)
        parts = self._known(request, self.supply.fresh_for)
        sources = []
        for part in parts:
            path = self._root(request) / part.file
            with wrap_os_errors(path, "read"):
                sources.append(Source(path.read_bytes(), part.priority))
        index = Index(sources, request.architecture)
        return tuple(sorted(one.chosen for one in resolve(index, request)))

    def snapshots(self, request: Request) -> tuple[Snapshot, ...]:
        """Return what the archives were that `resolve` has just chosen from."""
        return tuple(dict.fromkeys(p.snapshot for p in self._known(request, float("inf"))))

    def fetch(self, suite: str, chosen: Sequence[Chosen]) -> list[Path]:
        """Return a verified file for each package; what is not in the pool comes from a mirror."""
        missing = [c for c in dict.fromkeys(chosen) if not self.supply.pool.has(c)]
        if missing:
            entries = self.supply.mirrors.entries(suite, ("main",))
            bases = tuple(dict.fromkeys(e.uri.rstrip("/") for e in entries))
            total = sum(c.size for c in missing)
            title = f"fetch {pluralize(len(missing), 'Debian package')}"
            with task(self.supply.reporter, title, total) as progress:
                reader = Reader()
                work = partial(self._bring, reader, bases)
                for done in map_unordered(missing, work, _JOBS, reader.stop, reader.close):
                    if done.error is not None:
                        raise done.error
                    progress.advance(done.item.size)
        return [self.supply.pool.used(c) for c in chosen]

    def _bring(self, reader: Reader, bases: Sequence[str], one: Chosen, _: object) -> None:
        """Fetch a package from the first archive that has it as it was chosen."""
        refusal: PackageError | None = None
        for base in bases:
            uri = f"{base}/{quote(one.path, safe='/:')}"
            try:
                with self.supply.pool.arriving(one) as file:
                    arriving = Hashed(file)
                    reader.copy(uri, one.size, arriving.write, arriving.again)
                    check(one, arriving.sha256, arriving.size)
            except Missing:
                continue
            except PackageError as error:
                refusal = error  # another mirror may have it as it should be
            else:
                return
        raise refusal or gone([one])

    def _root(self, request: Request) -> Path:
        entries = self._entries(request)
        text = "\n".join(line for entry in entries for line in entry.lines())
        key = hashlib.sha256(f"{request.architecture}\n{text}".encode()).hexdigest()[:16]
        return self.supply.pool.root.absolute() / "python" / key

    def _entries(self, request: Request) -> tuple[Entry, ...]:
        return self.supply.mirrors.entries(request.suite, request.components)

    def _known(self, request: Request, fresh_for: float) -> tuple[Part, ...]:
        """Return the indexes of the archives, fetched again if they are not fresh."""
        root = self._root(request)
        with wrap_os_errors(root):
            root.mkdir(parents=True, exist_ok=True)
        with hold_lock(root / "lock"):
            known = _read_known(root / _KNOWN, fresh_for)
            if known is None:
                what = f"ask what {request.suite} has for {request.architecture}"
                with task(self.supply.reporter, what, None):
                    known = tuple(update(root, self._entries(request), request.architecture))
                with atomic_write(root / _KNOWN, durable=False) as file:
                    file.write(json.dumps([part.as_json() for part in known]).encode())
                _sweep(root, {part.file for part in known})
        return known


def _read_known(path: Path, fresh_for: float) -> tuple[Part, ...] | None:
    """Return what was known of archives the last time, if that is not too long ago."""
    try:
        if not 0 <= time.time() - path.stat().st_mtime < fresh_for:
            return None
        known = tuple(Part.from_json(row) for row in json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if all((path.parent / part.file).is_file() for part in known) else None


def _sweep(root: Path, needed: set[str]) -> None:
    """Remove indexes of earlier times."""
    for path in root.glob("*.index"):
        if path.name not in needed:
            with suppress(OSError):
                path.unlink()
