"""A tar of an earlier build as a source of images that cannot be had any more.

The record at its head (`assembler.encode.record`) says of which images its trees were made. What is
taken is checked: documents by their digests, trees by size and checksum, every entry by the
location and source that it carries. The archive is hostile input all the same; whoever reads a
tree looks at each of its names.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from isal import isal_zlib

from assembler.codes import output as codes
from assembler.encode import record
from assembler.encode.record import Record
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

_CHUNK = 1 << 20
_BLOCK = 512
_LARGEST_SBOM = 256 << 20
# What stands below boot/ in front of the modules, which may have files there, too.
_BOOT = (b"boot", b"boot/cmdline", b"boot/kernel", b"boot/ucode.cpio")


class Unusable(Exception):  # noqa: N818 - told to the user with the component's place
    """Why an image cannot be taken from the archive."""


@dataclass(frozen=True)
class Earlier:
    """The archive, and what its record says."""

    path: Path
    record: Record | None
    # Documents of the record by their digests.
    documents: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Earlier:
        """Look at the head of the archive."""
        try:
            with wrap_os_errors(path, "read"), path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < _BLOCK:
                    raise MalformedTarError("it is too short for one")
                reader = TarReader(iter(lambda: file.read(_CHUNK), b""))
                reader.next()
                found = record.read(reader.common)
        except MalformedTarError as error:
            raise UsageError.of(
                codes.BAD_INPUT_TAR,
                f"--input-tar: {path} is not a tar archive that a build wrote: {error}",
                "it takes what `dolmen build --format tar` has written",
            ) from None
        texts = [_bytes(d) for d in found.documents if isinstance(d, str)] if found else []
        return cls(path, found, {digest_of(text): text for text in texts})

    def image(self, reference: Reference, platform: Platform, known: Sequence[str]) -> Image:
        """Return an image as far as it is here, or say why it cannot be taken.

        `known` are the digests that the store has the name for, without the content.
        """
        name = str(reference)
        if self.record is None:
            raise Unusable("has no record of the images that it was made of")
        said = self.record.images.get(name)
        if not isinstance(said, dict):
            raise Unusable(f"has nothing of {name}{self._others(reference)}")
        if self.record.architecture != platform.architecture:
            raise Unusable(f"is for {self.record.architecture}, not for {platform.architecture}")
        manifest, index = str(said.get("manifest")), said.get("index")
        for digest in (*known, reference.digest):
            if digest and digest not in (manifest, index):
                raise Unusable(f"has {name} as {manifest}, and {digest} is wanted")
        try:
            found = self._read(reference, manifest, index)
        except DolmenError as error:
            why = error.diagnostics[0].message
            raise Unusable(f"has a record of {name} that is broken: {why}") from error
        if reference.digest not in ("", manifest) and not _lists(found, self.documents):
            raise Unusable(f"has {name} as {manifest}, which its index does not list")
        return found

    def is_plain(self, images: Iterable[Image]) -> bool:
        """Tell whether the kernel that comes from here is unpacked already."""
        return any(
            image.salvaged.kernel_decompressed for image in images if image.salvaged is not None
        )

    def is_attested(self, name: str) -> bool:
        """Tell whether the image had SPDX documents; unknown means yes."""
        said = self.record.images.get(name) if self.record is not None else None
        return not isinstance(said, dict) or said.get("attested") is not False

    def sbom(self, wanted: Mapping[str, Any]) -> bytes | None:
        """Return the archive's SPDX document, if it was joined of the same in the same way."""
        said = self.record.sbom if self.record is not None else None
        if not isinstance(said, dict) or any(said.get(k) != v for k, v in wanted.items()):
            return None
        found = self._find.sbom
        return found if found is not None and zlib.crc32(found) == said.get("crc32") else None

    def _others(self, reference: Reference) -> str:
        assert self.record is not None  # noqa: S101 - looked at before
        near = sorted(n for n in self.record.images if n.startswith(f"{reference.name}"))
        return f", but of {', '.join(near)}" if near else ""

    def _read(self, reference: Reference, digest: str, index: object) -> Image:
        name = str(reference)
        manifest = parse_manifest(self._document(digest, name), name)
        if not isinstance(manifest, Manifest):
            raise Unusable(f"has an index where the manifest of {name} should be")
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
            self._remains(name),
        )

    def _document(self, digest: str, name: str) -> bytes:
        found = self.documents.get(digest)
        if found is None:
            raise Unusable(f"has a record of {name} that lacks {digest}")
        return found

    def _remains(self, name: str) -> SalvagedImage:
        trees, files, plain = [], [], False
        for what in (p for p in self._find.pieces if p.image == name):
            if isinstance(what.excerpt, str):
                raise Unusable(f"is damaged: {what.excerpt}")
            if what.rules:
                trees.append(SalvagedTree(what.rules, what.prefix, what.excerpt))
            else:
                files.append(SalvagedFile(what.name, what.mode, what.excerpt))
                plain = plain or what.decompressed
        return SalvagedImage(tuple(trees), tuple(files), plain)

    @cached_property
    def _find(self) -> _Finder:
        """Find everything that the record tells of; damage is kept as its description."""
        assert self.record is not None  # noqa: S101 - looked at before
        try:
            pieces = [_Piece.of_tree(doc) for doc in self.record.parts]
            pieces += [_Piece.of_file(doc) for doc in self.record.files]
            sbom = str(self.record.sbom["path"]) if self.record.sbom else ""
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise Unusable(f"has a broken record: {error!r}") from None
        finder = _Finder(self.path, pieces, sbom)
        finder.find()
        return finder


def _bytes(text: str) -> bytes:
    """Return a text of the record as it would stand in the archive; anything may be in it."""
    return text.encode("utf-8", "surrogatepass")


def _lists(image: Image, documents: Mapping[str, bytes]) -> bool:
    """Tell whether the index that the name stands for lists the manifest."""
    if image.index is None or image.index.digest != image.reference.digest:
        return False
    index = parse_manifest(documents[image.index.digest], str(image.reference))
    return isinstance(index, Index) and any(d.digest == image.digest for d in index.manifests)


@dataclass(slots=True)
class _Piece:
    """A stretch of the archive that the record tells of."""

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
    # What was found, or what is wrong with it.
    excerpt: SalvagedContent | str = "a part is missing"

    @classmethod
    def of_tree(cls, doc: Mapping[str, Any]) -> _Piece:
        """Read what the record says of the tree of an image."""
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
    def of_file(cls, doc: Mapping[str, Any]) -> _Piece:
        """Read what the record says of a file of the kernel's image."""
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


class _Finder:
    """Goes through the archive once, and finds where the pieces are by what entries carry."""

    def __init__(self, path: Path, pieces: Sequence[_Piece], sbom: str) -> None:
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
        """Set the pieces' excerpts."""
        with wrap_os_errors(self._path, "read"), self._path.open("rb") as file:
            reader = TarReader(iter(lambda: file.read(_CHUNK), b""))
            at = 0
            try:
                while reader.next():
                    self._look(reader, max(at, reader.common_end))
                    at = reader.offset
            except MalformedTarError as error:
                raise Unusable(f"is damaged: {error}") from None
            for piece in self._trees.values():
                if not piece.size:
                    piece.excerpt = _excerpt(self._path, file.fileno(), piece, 0)
                elif (start := self._starts.get(id(piece))) is not None:
                    piece.excerpt = _excerpt(self._path, file.fileno(), piece, start)
            for piece in self._contents.values():
                if (start := self._starts.get(id(piece))) is not None:
                    piece.excerpt = _excerpt(self._path, file.fileno(), piece, start)

    def _look(self, reader: TarReader, at: int) -> None:
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
            # The directory that the prefix names is made before the tree, and ends in a slash, too.
            if name.startswith(prefix) and len(name) > len(prefix):
                self._starts.setdefault(id(self._trees[comment, prefix]), at)


def _excerpt(path: Path, handle: int, piece: _Piece, start: int) -> SalvagedContent | str:
    """Return the excerpt if it has the checksum that the record tells."""
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
        return f"what it has of {what} is not what its record says"
    return SalvagedContent(path, start, piece.size, hasher.hexdigest())
