"""The stamp of a build: lets an unchanged build return at once, before any YAML is looked at.

After a build, a stamp is kept beside the store under a key made of everything asked: options, the
bytes of the YAML files, Dolmen's version, and the machine's start (outputs are not synced: after a
power cut they may be as long and as old as they were, and empty). It lists what the outcome depends
on besides (what the store knows the images by, local files put into the system) and the outputs. If
all of that is as it was, so are the outputs. A stamp that cannot be read is no stamp.

This module is imported on the way of every build and must stay light.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_KEPT = 256
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Trace:
    """A file as it was: what cannot stay the same if its content was changed in earnest."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path | str) -> Trace:
        """Look at a file; one that is not there leaves a trace as well."""
        try:
            seen = os.stat(path)  # noqa: PTH116 - pathlib is slower, and this is the fast way
        except OSError:
            return cls(str(path), -1, 0, 0)
        return cls(str(path), seen.st_size, seen.st_mtime_ns, seen.st_ino)

    @property
    def there(self) -> bool:
        """Tell whether the file was there."""
        return self.size >= 0


@dataclass(frozen=True)
class Stamp:
    """What a build depended on and what it made."""

    names: tuple[str, ...]
    digests: Mapping[str, Sequence[str]]
    sources: tuple[Trace, ...]
    outputs: tuple[Trace, ...]
    result: Mapping[str, Any]


def key_of(asked: Mapping[str, Any], texts: Sequence[bytes]) -> str:
    """Return the key of a build: `asked` is JSON, `texts` are the YAML files' bytes."""
    whole = hashlib.sha256(json.dumps([__version__, _start(), asked], sort_keys=True).encode())
    for text in texts:
        whole.update(hashlib.sha256(text).digest())
    return whole.hexdigest()


def _start() -> str:
    """Return what tells one start of the machine from the next, if anything does."""
    try:
        return _BOOT_ID.read_text().strip()
    except (OSError, ValueError):
        return ""


def known_as(store: Path, spellings: Sequence[str]) -> dict[str, list[str]]:
    """Return the digests that the store's index has under each of the names."""
    try:
        index = json.loads((store / "index.json").read_bytes())
        entries = [
            (d.get("annotations", {}).get(_REF_NAME), d.get("digest")) for d in index["manifests"]
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    wanted = set(spellings)
    found: dict[str, list[str]] = {}
    for name, digest in entries:
        if name in wanted:
            found.setdefault(name, []).append(str(digest))
    return {name: sorted(digests) for name, digests in sorted(found.items())}


def still_valid(store: Path, key: str) -> Stamp | None:
    """Return the stamp of the build if nothing that it depends on has changed."""
    try:
        doc = json.loads(_place(store, key).read_bytes())
        stamp = Stamp(
            tuple(doc["names"]),
            doc["digests"],
            tuple(Trace(**t) for t in doc["sources"]),
            tuple(Trace(**t) for t in doc["outputs"]),
            doc["result"],
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None
    as_it_was = all(Trace.of(t.path) == t for t in (*stamp.sources, *stamp.outputs))
    same_images = known_as(store, stamp.names) == stamp.digests
    return stamp if as_it_was and same_images else None


def keep(store: Path, key: str, stamp: Stamp) -> None:
    """Keep the stamp; where that is not possible the next build is a full one."""
    # Not needed when the build is unchanged.
    from assembler.part_files import PartFile  # noqa: PLC0415

    place = _place(store, key)
    with contextlib.suppress(OSError):
        place.parent.mkdir(exist_ok=True)
        part = PartFile(place)
        with contextlib.closing(part), open(part.handle, "w", closefd=False) as file:
            file.write(json.dumps(asdict(stamp), sort_keys=True))
            file.flush()
            part.publish()
        _thin_out(place.parent)


def _thin_out(directory: Path) -> None:
    """Forget the oldest stamps."""
    stamps = sorted(directory.iterdir(), key=lambda p: p.stat().st_mtime_ns, reverse=True)
    for old in stamps[_KEPT:]:
        old.unlink(missing_ok=True)


def _place(store: Path, key: str) -> Path:
    return store / "stamps" / f"{key}.json"
