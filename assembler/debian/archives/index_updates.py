"""Asking archives what they have: Release, its signature, the indexes it lists, all verified."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from assembler.codes import packages
from assembler.debian.archives.downloads import Downloader, FileNotInArchiveError, HashingWriter
from assembler.debian.archives.index import reduce_index
from assembler.debian.archives.release import Release, parse_release
from assembler.debian.archives.signatures import verify_detached_signature, verify_inline_signature
from assembler.debian.decompression import DECOMPRESSION_ERRORS, decompress, limit_size
from assembler.debian.engine import UNTRUSTED_ARCHIVE_HINT, ArchiveSnapshot
from assembler.errors import PackageError
from assembler.files import atomic_write

if TYPE_CHECKING:
    from assembler.debian.archives.release import ReleaseFile
    from assembler.debian.sources import AptSource

_MAX_RELEASE_SIZE = 16 << 20
_MAX_SIGNATURE_SIZE = 1 << 20
_MAX_INDEX_SIZE = 1 << 30
_CHUNK = 1 << 18
# What is quickest to read comes first.
_COMPRESSIONS = (".zst", ".xz", ".gz", "")
_RETRY_HINT = "the mirror may just be changing: try again, or choose another mirror"


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """An index as it is kept: reduced, with how much it counts and where it is from."""

    file: str
    priority: int
    snapshot: ArchiveSnapshot

    def as_json(self) -> dict[str, Any]:
        """Return it as it is written down."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Any) -> StoredIndex:  # noqa: ANN401 - whatever a file holds
        """Read what `as_json` has made."""
        name = str(row["file"])
        if "/" in name:
            raise ValueError(f"not the name of an index: {name!r}")
        return cls(name, int(row["priority"]), ArchiveSnapshot(**row["snapshot"]))


def update_indexes(
    root: Path, entries: Sequence[AptSource], architecture: str
) -> Iterator[StoredIndex]:
    """Bring the indexes of archives into a directory, and tell which they are, in their order."""
    reader = Downloader()
    try:
        for entry in entries:
            options = dict(o.partition("=")[::2] for o in entry.options)
            if "arch" in options and architecture not in options["arch"].split(","):
                continue
            for suite in entry.suites:
                base = f"{entry.uri.rstrip('/')}/dists/{suite}"
                release, digest = _fetch_release(reader, entry, base, options)
                snapshot = ArchiveSnapshot(suite, release.date, digest)
                for component in entry.components:
                    for name in release.indexes(component, architecture):
                        file = _fetch_index(reader, root, base, name, release)
                        yield StoredIndex(file, release.priority, snapshot)
    finally:
        reader.close()


def _fetch_release(
    reader: Downloader, entry: AptSource, base: str, options: dict[str, str]
) -> tuple[Release, str]:
    """Return what an archive says of itself, believed, and the digest of what says it."""
    trusted = options.get("trusted") == "yes"
    keyrings = [Path(name) for name in entry.signed_by.split(",")]
    if not trusted and not all(path.is_absolute() for path in keyrings):
        raise PackageError.of(
            packages.NO_KEYRING,
            f"a keyring is a file with an absolute path, and not {entry.signed_by}",
            "write [signed-by=/usr/share/keyrings/NAME.gpg], or --debian-keyring FILE",
        )
    what = f"{base}/InRelease"
    try:
        data = reader.read(what, _MAX_RELEASE_SIZE)
        text = _strip_signature(data) if trusted else verify_inline_signature(data, keyrings, what)
    except FileNotInArchiveError:
        what = f"{base}/Release"
        data = text = _read_release(reader, what)
        if not trusted:
            try:
                signature = reader.read(f"{what}.gpg", _MAX_SIGNATURE_SIZE)
            except FileNotInArchiveError:
                raise PackageError.of(
                    packages.BAD_SIGNATURE,
                    f"{what} is not signed: there is no Release.gpg and no InRelease",
                    UNTRUSTED_ARCHIVE_HINT,
                    "to use one all the same: --debian-mirror '[trusted=yes] URL'",
                ) from None
            verify_detached_signature(data, signature, keyrings, what)
    release = parse_release(text, what)
    release.check_time(
        time.time(),
        what,
        until=options.get("check-valid-until", "yes") != "no",
        since=options.get("check-date", "yes") != "no",
    )
    return release, hashlib.sha256(data).hexdigest()


def _read_release(reader: Downloader, what: str) -> bytes:
    try:
        return reader.read(what, _MAX_RELEASE_SIZE)
    except FileNotInArchiveError:
        raise PackageError.of(
            packages.NO_MIRROR,
            f"the archive cannot be used: there is neither {what} nor InRelease beside it",
            "is the mirror there, and does it have the suite?",
        ) from None


def _strip_signature(data: bytes) -> bytes:
    """Return the text inside a signature, without checking it."""
    head, _, rest = data.partition(b"\n\n")
    if not head.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
        return data
    text = rest.partition(b"\n-----BEGIN PGP SIGNATURE-----")[0]
    lines = (line.removeprefix(b"- ") for line in text.split(b"\n"))
    return b"\n".join(lines) + b"\n"


def _fetch_index(reader: Downloader, root: Path, base: str, name: str, release: Release) -> str:
    """Bring an index in the first compression that there is, and return its reduced file's name."""
    for suffix in _COMPRESSIONS:
        listed = release.files.get(name + suffix)
        if listed is None:
            continue
        kept = root / f"{listed.sha256[:32]}.index"
        if kept.is_file():
            return kept.name
        uris = [f"{base}/{name}{suffix}"]
        if release.by_hash:
            uris.insert(0, f"{base}/{name.rpartition('/')[0]}/by-hash/SHA256/{listed.sha256}")
        for uri in uris:
            with tempfile.TemporaryFile(dir=root) as file:
                arriving = HashingWriter(file)
                try:
                    reader.copy(uri, listed.size, arriving.write, arriving.again)
                except FileNotInArchiveError:
                    continue
                _verify_file(uri, listed, arriving.sha256, arriving.size)
                whole = release.files.get(name)
                _store_reduced(file, suffix, kept, uri, whole.size if whole else _MAX_INDEX_SIZE)
            return kept.name
    raise PackageError.of(
        packages.NO_MIRROR,
        f"the archive lists {name} at {base} and does not have it",
        _RETRY_HINT,
    )


def _verify_file(uri: str, listed: ReleaseFile, sha256: str, size: int) -> None:
    if (sha256, size) != (listed.sha256, listed.size):
        raise PackageError.of(
            packages.NO_MIRROR,
            f"{uri} is not what the archive's Release says: {size} bytes with the sha256 {sha256} "
            f"instead of {listed.size} bytes with {listed.sha256}",
            _RETRY_HINT,
        )


def _store_reduced(file: IO[bytes], suffix: str, kept: Path, uri: str, most: int) -> None:
    file.seek(0)
    try:
        with atomic_write(kept, durable=False) as target:
            for piece in reduce_index(limit_size(decompress(_read_chunks(file), suffix), most)):
                target.write(piece)
    except DECOMPRESSION_ERRORS as error:
        raise PackageError.of(
            packages.NO_MIRROR, f"{uri} is broken: {error}", _RETRY_HINT
        ) from error


def _read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
