"""Download the Release files and the Packages files of archives, and verify them."""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from assembler.codes import packages
from assembler.debian.archives.downloads import Downloader, HashingWriter, NotInRepositoryError
from assembler.debian.archives.index import reduce_index
from assembler.debian.archives.kept_files import write_kept
from assembler.debian.archives.release import Release, parse_release
from assembler.debian.archives.signatures import verify_detached_signature, verify_inline_signature
from assembler.debian.decompression import DECOMPRESSION_ERRORS, decompress, fail_above_size
from assembler.debian.engine_protocol import UNTRUSTED_ARCHIVE_HINT, ArchiveSnapshot
from assembler.debian.index_hints import broken_index_hints
from assembler.errors import PackageError, wrap_os_errors
from assembler.files import check_room

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.debian.archives.release import ReleaseFile
    from assembler.debian.sources import AptSource

_MAX_RELEASE_SIZE = 16 << 20
_MAX_SIGNATURE_SIZE = 1 << 20
_MAX_INDEX_SIZE = 1 << 30
_CHUNK = 1 << 18
# Of reduced Packages files.
INDEX_SUFFIX = ".packages"
# The fastest decompression comes first.
_COMPRESSIONS = (".zst", ".xz", ".gz", "")


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """A reduced Packages file on disk, with the pin priority and the state of its archive."""

    file: str
    priority: int
    snapshot: ArchiveSnapshot

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Any) -> StoredIndex:  # noqa: ANN401 - JSON
        """Read the result of `as_json`."""
        name = str(row["file"])
        if "/" in name:
            raise ValueError(f"not the name of an index: {name!r}")
        return cls(name, int(row["priority"]), ArchiveSnapshot(**row["snapshot"]))


def update_indexes(
    root: Path, entries: Sequence[AptSource], architecture: str
) -> Iterator[StoredIndex]:
    """Download the Packages files of archives into a directory, and yield them in order."""
    downloader = Downloader()
    try:
        for entry in entries:
            options = dict(o.partition("=")[::2] for o in entry.options)
            if "arch" in options and architecture not in options["arch"].split(","):
                continue
            for suite in entry.suites:
                base = f"{entry.uri.rstrip('/')}/dists/{suite}"
                release, digest = _fetch_release(downloader, entry, base, options)
                snapshot = ArchiveSnapshot(suite, release.date, digest)
                for component in entry.components:
                    for name in release.indexes(component, architecture):
                        file = _fetch_index(downloader, root, base, name, release)
                        yield StoredIndex(file, release.priority, snapshot)
    finally:
        downloader.close()


def _fetch_release(
    downloader: Downloader, entry: AptSource, base: str, options: dict[str, str]
) -> tuple[Release, str]:
    """Return the verified Release of an archive, and the digest of its file."""
    trusted = options.get("trusted") == "yes"
    keyrings = [Path(name) for name in entry.signed_by.split(",")]
    if not trusted and not all(path.is_absolute() for path in keyrings):
        raise PackageError.of(
            packages.NO_KEYRING,
            f"a keyring must be an absolute path: {entry.signed_by}",
            "write [signed-by=/usr/share/keyrings/NAME.gpg], or --debian-keyring FILE",
        )
    what = f"{base}/InRelease"
    try:
        data = downloader.read(what, _MAX_RELEASE_SIZE)
        text = _strip_signature(data) if trusted else verify_inline_signature(data, keyrings, what)
    except NotInRepositoryError:
        what = f"{base}/Release"
        data = text = _read_release(downloader, what)
        if not trusted:
            try:
                signature = downloader.read(f"{what}.gpg", _MAX_SIGNATURE_SIZE)
            except NotInRepositoryError:
                raise PackageError.of(
                    packages.BAD_SIGNATURE,
                    f"{what} is not signed: there is no Release.gpg and no InRelease",
                    UNTRUSTED_ARCHIVE_HINT,
                    "to use an unsigned archive: --debian-mirror '[trusted=yes] URL'",
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


def _read_release(downloader: Downloader, what: str) -> bytes:
    try:
        return downloader.read(what, _MAX_RELEASE_SIZE)
    except NotInRepositoryError:
        raise PackageError.of(
            packages.NO_MIRROR,
            f"the archive cannot be used: there is neither {what} nor InRelease beside it",
            "check that the mirror is reachable and has the suite",
        ) from None


def _strip_signature(data: bytes) -> bytes:
    """Return the text of a clearsigned file, without verification."""
    head, _, rest = data.partition(b"\n\n")
    if not head.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
        return data
    text = rest.partition(b"\n-----BEGIN PGP SIGNATURE-----")[0]
    lines = (line.removeprefix(b"- ") for line in text.split(b"\n"))
    return b"\n".join(lines) + b"\n"


def _fetch_index(downloader: Downloader, root: Path, base: str, name: str, release: Release) -> str:
    """Download a Packages file in the first listed compression; return the reduced file's name."""
    for suffix in _COMPRESSIONS:
        listed = release.files.get(name + suffix)
        if listed is None:
            continue
        path = root / f"{listed.sha256[:32]}{INDEX_SUFFIX}"
        if path.is_file():
            return path.name
        uris = [f"{base}/{name}{suffix}"]
        if release.by_hash:
            uris.insert(0, f"{base}/{name.rpartition('/')[0]}/by-hash/SHA256/{listed.sha256}")
        for uri in uris:
            check_room(root, listed.size, "a package list")
            with wrap_os_errors(root), tempfile.TemporaryFile(dir=root) as file:
                writer = HashingWriter(file)
                try:
                    downloader.download(uri, listed.size, writer.write, writer.restart)
                except NotInRepositoryError:
                    continue
                _verify_file(uri, listed, writer.sha256, writer.size)
                uncompressed = release.files.get(name)
                _store_reduced_index(
                    file, suffix, path, uri, uncompressed.size if uncompressed else _MAX_INDEX_SIZE
                )
            return path.name
    raise PackageError.of(
        packages.NO_MIRROR,
        f"the archive lists {name}, and it is missing at {base}",
        *broken_index_hints([f"{base}/{name}"]),
    )


def _verify_file(uri: str, listed: ReleaseFile, sha256: str, size: int) -> None:
    if (sha256, size) != (listed.sha256, listed.size):
        raise PackageError.of(
            packages.NO_MIRROR,
            f"{uri} does not match the archive's Release: {size} bytes with the sha256 {sha256} "
            f"instead of {listed.size} bytes with {listed.sha256}",
            *broken_index_hints([uri]),
        )


def _store_reduced_index(file: IO[bytes], suffix: str, path: Path, uri: str, max_size: int) -> None:
    file.seek(0)
    try:
        chunks = fail_above_size(decompress(_read_chunks(file), suffix), max_size)
        write_kept(path, reduce_index(chunks))
    except DECOMPRESSION_ERRORS as error:
        raise PackageError.of(
            packages.NO_MIRROR, f"{uri} is broken: {error}", *broken_index_hints([uri])
        ) from error


def _read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
