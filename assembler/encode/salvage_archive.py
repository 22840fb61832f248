"""The tar of an earlier build as a source of salvaged images.

The build record at its head (`assembler.encode.archive_record`) names the images of its trees.
Everything taken is checked: documents by their digests, trees by size and checksum, entries by the
location and source in their comments. The archive is still hostile input; readers of a tree check
each name in it.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from isal import isal_zlib

from assembler.codes import output as codes
from assembler.data_files import open_data_file
from assembler.encode import archive_record
from assembler.errors import DolmenError, UsageError, wrap_os_errors
from assembler.oci import (
    Descriptor,
    Image,
    Index,
    MalformedTarError,
    Manifest,
    Platform,
    Reference,
    SalvagedContent,
    SalvagedFile,
    SalvagedImage,
    SalvagedTree,
    TarReader,
    digest_of,
    parse_image_config,
    parse_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from assembler.encode.archive_record import ArchiveRecord

_CHUNK = 1 << 20
_BLOCK = 512
_LARGEST_SBOM = 256 << 20
# Entries of boot/ before the modules, which may also have files there.
_BOOT = (b"boot", b"boot/cmdline", b"boot/kernel", b"boot/ucode.cpio")


class SalvageError(Exception):
    """The reason why an image cannot be salvaged from the archive."""


@dataclass(frozen=True)
class SalvageArchive:
    """The archive and its build record."""

    path: Path
    record: ArchiveRecord | None
    # The documents of the record by digest.
    documents: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> SalvageArchive:
        """Read the record at the head of the archive."""
        try:
            with wrap_os_errors(path, "read"), open_data_file(path) as file:
                size = os.fstat(file.fileno()).st_size
                if size < _BLOCK:
                    raise MalformedTarError("it is too short")
                reader = TarReader(iter(lambda: file.read(_CHUNK), b""))
                reader.next()
                found = archive_record.parse_record(reader.common)
        except MalformedTarError as error:
            raise UsageError.of(
                codes.BAD_INPUT_TAR,
                f"--input-tar: {path} is not a tar archive that a build wrote: {error}",
                "it takes what `dolmen build --format tar` has written",
            ) from None
        texts = [_bytes(d) for d in found.documents if isinstance(d, str)] if found else []
        return cls(path, found, {digest_of(text): text for text in texts})

    def image(self, reference: Reference, platform: Platform, known: Sequence[str]) -> Image:
        """Return the salvaged image, or raise a SalvageError with the reason.

        `known` are the digests that the store has for the name, without their content.
        """
        name = str(reference)
        if self.record is None:
            raise SalvageError("has no record of the images that it was made of")
        entry = self.record.images.get(name)
        if not isinstance(entry, dict):
            raise SalvageError(f"has nothing of {name}{self._similar_names(reference)}")
        if self.record.architecture != platform.architecture:
            raise SalvageError(
                f"is for {self.record.architecture}, not for {platform.architecture}"
            )
        manifest, index = str(entry.get("manifest")), entry.get("index")
        for digest in (*known, reference.digest):
            if digest and digest not in (manifest, index):
                raise SalvageError(f"has {name} as {manifest}, and {digest} is wanted")
        try:
            found = self._read_image(reference, manifest, index)
        except DolmenError as error:
            why = error.diagnostics[0].message
            raise SalvageError(f"has a record of {name} that is broken: {why}") from error
        if reference.digest not in ("", manifest) and not _lists(found, self.documents):
            raise SalvageError(f"has {name} as {manifest}, which its index does not list")
        return found

    def has_decompressed_kernel(self, images: Iterable[Image]) -> bool:
        """Tell whether one of the images has a kernel that is already decompressed."""
        return any(
            image.salvaged.kernel_decompressed for image in images if image.salvaged is not None
        )

    def is_attested(self, name: str) -> bool:
        """Tell whether the image had SPDX documents; unknown means yes."""
        entry = self.record.images.get(name) if self.record is not None else None
        return not isinstance(entry, dict) or entry.get("attested") is not False

    def sbom(self, wanted: Mapping[str, Any]) -> bytes | None:
        """Return the archive's SPDX document if it was made from the same inputs."""
        entry = self.record.sbom if self.record is not None else None
        if not isinstance(entry, dict) or any(entry.get(k) != v for k, v in wanted.items()):
            return None
        found = self._finder.sbom
        return found if found is not None and zlib.crc32(found) == entry.get("crc32") else None

    def _similar_names(self, reference: Reference) -> str:
        assert self.record is not None  # noqa: S101 - looked at before
        near = sorted(n for n in self.record.images if n.startswith(f"{reference.name}"))
        return f", but of {', '.join(near)}" if near else ""

    def _read_image(self, reference: Reference, digest: str, index: object) -> Image:
        name = str(reference)
        manifest = parse_manifest(self._document(digest, name), name)
        if not isinstance(manifest, Manifest):
            raise SalvageError(f"has an index where the manifest of {name} should be")
        config = parse_image_config(self._document(manifest.config.digest, name), name)
        size = len(self.documents[digest])
        top = None
        if isinstance(index, str):
            listed = parse_manifest(self._document(index, name), name)
            top = Descriptor(listed.media_type, index, len(self.documents[index]))
        return Image(
            reference,
            Descriptor(manifest.media_type, digest, size),
            manifest,
            config,
            top,
            self._salvaged_image(name),
        )

    def _document(self, digest: str, name: str) -> bytes:
        found = self.documents.get(digest)
        if found is None:
            raise SalvageError(f"has a record of {name} that lacks {digest}")
        return found

    def _salvaged_image(self, name: str) -> SalvagedImage:
        trees, files, plain = [], [], False
        for what in (p for p in self._finder.pieces if p.image == name):
            if isinstance(what.content, str):
                raise SalvageError(f"is damaged: {what.content}")
            if what.rules:
                trees.append(SalvagedTree(what.rules, what.prefix, what.content))
            else:
                files.append(SalvagedFile(what.name, what.mode, what.content))
                plain = plain or what.decompressed
        return SalvagedImage(tuple(trees), tuple(files), plain)

    @cached_property
    def _finder(self) -> _PieceFinder:
        """Find all pieces that the record lists; a damaged piece becomes a description."""
        assert self.record is not None  # noqa: S101 - looked at before
        try:
            pieces = [_ArchivePiece.of_tree(doc) for doc in self.record.parts]
            pieces += [_ArchivePiece.of_file(doc) for doc in self.record.files]
            sbom = str(self.record.sbom["path"]) if self.record.sbom else ""
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SalvageError(f"has a broken record: {error!r}") from None
        finder = _PieceFinder(self.path, pieces, sbom)
        finder.find()
        return finder


def _bytes(text: str) -> bytes:
    """Return a text of the record as bytes of the archive; the text is untrusted."""
    return text.encode("utf-8", "surrogatepass")


def _lists(image: Image, documents: Mapping[str, bytes]) -> bool:
    """Tell whether the index of the reference lists the manifest."""
    if image.index is None or image.index.digest != image.reference.digest:
        return False
    index = parse_manifest(documents[image.index.digest], str(image.reference))
    return isinstance(index, Index) and any(d.digest == image.digest for d in index.manifests)


@dataclass(slots=True)
class _ArchivePiece:
    """A byte range of the archive that the record lists."""

    image: str
    comment: bytes
    prefix: str
    rules: str
    size: int
    crc32: int
    name: str = ""
    mode: int = 0
    is_tree: bool = True
    decompressed: bool = False
    # The content, or a description of its damage.
    content: SalvagedContent | str = "a part is missing"

    @classmethod
    def of_tree(cls, doc: Mapping[str, Any]) -> _ArchivePiece:
        """Read the record's entry for the tree of an image."""
        image, location = str(doc["image"]), str(doc["location"])
        return cls(
            image,
            _bytes(f"{location} {image}"),
            str(doc["prefix"]),
            str(doc["rules"]),
            int(doc["size"]),
            int(doc["crc32"]),
        )

    @classmethod
    def of_file(cls, doc: Mapping[str, Any]) -> _ArchivePiece:
        """Read the record's entry for a file of the kernel image."""
        return cls(
            str(doc["image"]),
            _bytes(f"kernel {doc['image']}"),
            "",
            "",
            int(doc["size"]),
            int(doc["crc32"]),
            str(doc["name"]),
            int(doc["mode"]) & 0o7777,
            bool(doc["tree"]),
            bool(doc.get("decompressed")),
        )


class _PieceFinder:
    """Find the pieces in one pass through the archive, by the comments of its entries."""

    def __init__(self, path: Path, pieces: Sequence[_ArchivePiece], sbom: str) -> None:
        self.pieces = pieces
        # The content of the SPDX document, if there is one.
        self.sbom: bytes | None = None
        self._sbom_name = _bytes(sbom)
        self._path = path
        self._trees = {(p.comment, _bytes(p.prefix)): p for p in pieces if p.is_tree}
        self._prefixes: dict[bytes, list[bytes]] = {}
        for comment, prefix in self._trees:
            self._prefixes.setdefault(comment, []).append(prefix)
        plain = [p for p in pieces if not p.is_tree]
        self._contents = dict(zip((b"boot/kernel", b"boot/ucode.cpio"), plain, strict=False))
        self._boot = {p.comment for p in plain}
        self._left_of_boot = set(_BOOT[: 2 + len(plain)])
        self._starts: dict[int, int] = {}

    def find(self) -> None:
        """Set the content of all pieces."""
        with wrap_os_errors(self._path, "read"), self._path.open("rb") as file:
            reader = TarReader(iter(lambda: file.read(_CHUNK), b""))
            at = 0
            try:
                while reader.next():
                    self._inspect_entry(reader, max(at, reader.common_end))
                    at = reader.offset
            except MalformedTarError as error:
                raise SalvageError(f"is damaged: {error}") from None
            for piece in self._trees.values():
                if not piece.size:
                    piece.content = _excerpt(self._path, file.fileno(), piece, 0)
                elif (start := self._starts.get(id(piece))) is not None:
                    piece.content = _excerpt(self._path, file.fileno(), piece, start)
            for piece in self._contents.values():
                if (start := self._starts.get(id(piece))) is not None:
                    piece.content = _excerpt(self._path, file.fileno(), piece, start)

    def _inspect_entry(self, reader: TarReader, at: int) -> None:
        comment = (reader.pax or {}).get(b"comment")
        if comment is None:
            return
        name = reader.name
        if not comment and name == self._sbom_name:
            self.sbom = reader.read(_LARGEST_SBOM)
            return
        if comment in self._boot and name.rstrip(b"/") in self._left_of_boot:
            self._left_of_boot.discard(name.rstrip(b"/"))
            content = self._contents.get(name)
            if content is not None:
                self._starts[id(content)] = reader.offset - (-(-reader.size // _BLOCK) * _BLOCK)
            return
        for prefix in self._prefixes.get(comment, ()):
            # The directory of the prefix comes before the tree, and also ends in a slash.
            if name.startswith(prefix) and len(name) > len(prefix):
                self._starts.setdefault(id(self._trees[comment, prefix]), at)


def _excerpt(path: Path, handle: int, piece: _ArchivePiece, start: int) -> SalvagedContent | str:
    """Return the content if its checksum is that of the record."""
    hasher, checksum = hashlib.sha256(), 0
    at, end = start, start + piece.size
    while at < end:
        data = os.pread(handle, min(_CHUNK, end - at), at)
        if not data:
            break
        hasher.update(data)
        checksum = isal_zlib.crc32(data, checksum)
        at += len(data)
    if at != end or checksum != piece.crc32:
        what = piece.name or piece.comment.decode("utf-8", "replace")
        return f"its content of {what} does not match its record"
    return SalvagedContent(path, start, piece.size, hasher.hexdigest())
