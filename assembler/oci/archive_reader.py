"""Reading archives of images, which may be hostile.

A tar is read once, from front to back, since it may come through a pipe. Its files become blobs of
the store under their digests, small documents stay in memory, and links are kept as text. No path
of the archive is ever used on the disk.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, TYPE_CHECKING

from assembler import magics
from assembler.codes import images
from assembler.errors import ImageError
from assembler.oci import media_types
from assembler.oci.digest import is_digest
from assembler.oci.layers.decompression import LayerLimits, decompress_layer
from assembler.oci.layers.tar_entry_types import FILE, HARD_LINK, SYMLINK
from assembler.oci.layers.tar_fields import MalformedTarError
from assembler.oci.layers.tar_reader import read_entries
from assembler.oci.manifest import MAX_MANIFEST_SIZE, Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.events import Task
    from assembler.oci.layers.tar_reader import TarReader
    from assembler.oci.store import Store

INDEX_FILE = "index.json"
DOCKER_MANIFEST_FILE = "manifest.json"
_MOST_ENTRIES = 200_000
_MOST_DOCUMENTS = 128 << 20
_LIMITS = LayerLimits(floor=256 << 30)
_BLOBS = "blobs/sha256/"
_LONGEST_CHAIN = 16
_GZIP, _ZSTD = magics.GZIP, magics.ZSTD


@dataclass(slots=True)
class ArchiveContents:
    """The contents of an archive, by normalized path."""

    documents: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, Descriptor] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def resolved(self, path: str) -> str:
        """Return the path of a file, following links inside the archive."""
        path = normalize_path(path)
        for _ in range(_LONGEST_CHAIN):
            if path not in self.links:
                return path
            path = self.links[path]
        raise bad_archive(f"{path} is a link that goes in a circle")

    def document(self, path: str, store: Store) -> bytes:
        """Return a small file."""
        path = self.resolved(path)
        if path in self.documents:
            return self.documents[path]
        return store.read(self.blob(path), path)

    def blob(self, path: str) -> Descriptor:
        """Return the blob of a file."""
        found = self.files.get(self.resolved(path))
        if found is None:
            raise bad_archive(f"{path!r} is not in it")
        return found


class ArchiveStream:
    """A stream that reports progress; it can return to its start during the first read."""

    def __init__(self, file: IO[bytes], progress: Task) -> None:
        """Read from `file`, which may be a pipe."""
        self._file, self._progress = file, progress
        self._head: bytes | None = None
        self._again = b""
        # The first bytes, which tell a compressed file from a plain one.
        self.start = b""

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, fewer only at the end."""
        if self._again:
            data, self._again = self._again[:size], self._again[size:]
            return data + self.read(size - len(data)) if len(data) < size else data
        data = self._file.read(size)
        self._progress.advance(len(data))
        self.start = self.start or data[:16]
        self._head = data if self._head is None else b""
        return data

    def seek(self, position: int) -> int:
        """Return to the start, which works only after the first read."""
        if position or not self._head:
            raise OSError("the archive is read from front to back")
        self._again, self._head = self._head, b""
        return 0


def read_archive(store: Store, source: ArchiveStream, arrived: set[str]) -> ArchiveContents:
    """Add the files of an archive to the store, and their digests to `arrived`."""
    contents = ArchiveContents()
    room = _MOST_DOCUMENTS
    unpacked = began = False
    try:
        stream = decompress_layer(source, 0, _LIMITS)  # type: ignore[arg-type]
        first = next(stream, b"")
        unpacked = not source.start.startswith((_GZIP, _ZSTD))
        for entry in read_entries(chain((first,), stream)):
            began = True
            if entry.count > _MOST_ENTRIES:
                raise bad_archive(f"it has more than {_MOST_ENTRIES} entries")
            path = normalize_path(entry.name.decode("utf-8", "surrogateescape"))
            if entry.kind in (HARD_LINK, SYMLINK):
                target = entry.link.decode("utf-8", "surrogateescape")
                base = posixpath.dirname(path) if entry.kind == SYMLINK else ""
                contents.links[path] = normalize_path(posixpath.join(base, target))
            elif entry.kind == FILE and _is_document(path, entry.size):
                room -= entry.size
                if room < 0:
                    raise bad_archive(f"its documents have more than {_MOST_DOCUMENTS >> 20} MiB")
                contents.documents[path] = entry.read(MAX_MANIFEST_SIZE)
            elif entry.kind == FILE:
                contents.files[path] = added = _blob(store, path, entry)
                arrived.add(added.digest)
    except MalformedTarError as error:
        why = "it is no tar archive" if unpacked and not began else str(error)
        raise bad_archive(why) from None
    if not source.start:
        raise bad_archive("it is empty")
    return contents


def _is_document(path: str, size: int) -> bool:
    return size <= MAX_MANIFEST_SIZE and (path.endswith(".json") or path == "oci-layout")


def _blob(store: Store, path: str, entry: TarReader) -> Descriptor:
    """Add a file; one below blobs/ must match its name, and is skipped if the store has it."""
    expected = ""
    if path.startswith(_BLOBS):
        expected = f"sha256:{path.removeprefix(_BLOBS)}"
        if not is_digest(expected):
            raise bad_archive(f"{path!r} is not the name of a blob")
        known = Descriptor("", expected, entry.size)
        if store.has(known):
            store.touch([known])
            if store.has(known):
                return known
    return store.add_stream(entry.chunks(), expected=expected)


def normalize_path(path: str) -> str:
    """Return a path of an archive without `./`, `//` and `..`."""
    return posixpath.normpath("/" + path).lstrip("/")


def detect_layer_type(store: Store, descriptor: Descriptor) -> str:
    """Return the media type of a layer, detected from its first bytes."""
    with store.open(descriptor) as file:
        head = file.read(4)
    if head[:2] == _GZIP:
        return media_types.OCI_LAYER_GZIP
    return media_types.OCI_LAYER_ZSTD if head == _ZSTD else media_types.OCI_LAYER


def digest_chunks(chunks: Iterable[bytes]) -> str:
    """Return the digest of the chunks together."""
    from assembler.oci.store.incoming_blob import new_sha256  # noqa: PLC0415

    hasher = new_sha256()
    for chunk in chunks:
        hasher.update(chunk)
    return "sha256:" + hasher.hexdigest()


def bad_archive(why: str) -> ImageError:
    """Return the error for an archive that cannot be imported."""
    return ImageError.of(
        images.BAD_ARCHIVE,
        f"the archive cannot be imported: {why}",
        "an archive is a tar of an OCI image layout, or what `docker save` writes",
    )
