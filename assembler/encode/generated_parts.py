"""Generated parts: they depend on the YAML and are encoded in every build, between segments."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from assembler.codes import output as codes
from assembler.encode.byte_sinks import CompressedOutput
from assembler.encode.inventory import Inventory
from assembler.encode.joined_archive import ALIGNMENT, JoinedArchive
from assembler.encode.newc_encoder import NewcEncoder
from assembler.encode.tar_encoder import TarEncoder
from assembler.encode.tree_writer import EntryEncoder, write_generated
from assembler.errors import OutputError, wrap_os_errors
from assembler.rootfs import EntryKind, GeneratedEntry, GeneratedPart, Origin, StoreBlob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from assembler.content import FileRange
    from assembler.oci import Store
    from assembler.rootfs import LocalFile, MergedPackageDatabase


@dataclass(frozen=True, slots=True)
class ExtractedFile:
    """A file extracted from an image, open for reading."""

    content: FileRange
    mode: int

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.content.size


class WrittenPaths:
    """The directories and symbolic links that earlier parts have written."""

    def __init__(self) -> None:
        self._paths: set[bytes] = set()

    def add(self, inventory: Inventory) -> None:
        self._paths.update(inventory.directories)
        self._paths.update(inventory.symlinks)

    def __contains__(self, path: str) -> bool:
        return path.encode("utf-8", "surrogateescape") in self._paths

    def missing(self, entries: Iterable[GeneratedEntry]) -> Iterator[GeneratedEntry]:
        """Yield the entries without implied directories that exist."""
        fresh: set[str] = set()
        for entry in entries:
            if entry.implied and (entry.path in self or entry.path in fresh):
                continue
            if entry.kind is not EntryKind.FILE:
                fresh.add(entry.path)
            yield entry


def implied_directories(paths: Iterable[bytes]) -> Iterator[GeneratedEntry]:
    for path in paths:
        name = path.decode("utf-8", "surrogateescape")
        yield GeneratedEntry(name, EntryKind.DIRECTORY, 0o755, implied=True)


def with_parent_directories(
    entries: Iterable[GeneratedEntry], known: WrittenPaths
) -> Iterator[GeneratedEntry]:
    """Yield entries after their missing parent directories: the kernel does not create them."""
    for entry in entries:
        parts = entry.path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            path = "/".join(parts[:count])
            if path not in known:
                yield GeneratedEntry(path, EntryKind.DIRECTORY, 0o755, implied=True)
        yield entry


def merged_database(part: MergedPackageDatabase, contents: Sequence[bytes]) -> GeneratedPart | None:
    """Return the joined package databases, if more than one image has one."""
    if len(contents) < 2:
        return None
    content = b"".join(c + b"\n\n" for c in contents)
    entry = GeneratedEntry(part.path, EntryKind.FILE, 0o644, content, mtime=0)
    return GeneratedPart(part.origin, (entry,))


def open_source(store: Store, content: StoreBlob | LocalFile, path: str) -> IO[bytes]:
    """Open the content of a generated file that is a blob or a file of this machine, unchanged."""
    if isinstance(content, StoreBlob):
        store.verify(content.descriptor, path)
        file = store.open(content.descriptor, path)
    else:
        with wrap_os_errors(content.path, "read"):
            file = content.path.open("rb")
    if os.fstat(file.fileno()).st_size != content.size:
        file.close()
        raise OutputError.of(
            codes.SOURCE_CHANGED,
            f"the file for {path} changed during the build",
            "build again when no program writes to it",
        )
    return file


class TarPart:
    """A generated part of a tar, in pieces."""

    def __init__(self, origin: Origin) -> None:
        self.inventory = Inventory()
        self.encoder = TarEncoder(self, origin, "", self.inventory)
        self._pieces: list[bytes | memoryview | FileRange] = []

    def put(self, data: bytes | memoryview) -> None:
        self._pieces.append(data)

    def splice(self, file_range: FileRange) -> None:
        self._pieces.append(file_range)

    def finish(self) -> None:
        """Do nothing: pieces are available at once."""

    def take_pieces(self) -> list[bytes | memoryview | FileRange]:
        """Return the pieces, and forget them."""
        pieces, self._pieces = self._pieces, []
        return pieces


class InitrdPart:
    """Generated parts of an initrd up to the next segment; without entries nothing is written."""

    def __init__(self, whole: JoinedArchive) -> None:
        self.inventory = Inventory()
        self._archive = whole
        self._output: CompressedOutput | None = None
        self.encoder = NewcEncoder(self, "", self.inventory, "image.yml")

    def put_all(self, pieces: list[bytes | memoryview]) -> None:
        if self._output is None:
            self._archive.out.flush()
            compressor = self._archive.compression.start_piece()
            self._output = CompressedOutput(self._archive.out.fileno(), compressor)
        self._output.put_all(pieces)

    def splice(self, file_range: FileRange) -> None:
        for data in file_range.chunks():
            self.encoder.put(data)

    def finish(self) -> InitrdPart:
        """Write everything to the output, and return a new part."""
        if self.encoder.is_empty:
            return self
        joins = self._archive.compression.joins
        self.encoder.finish(trailer=False)
        if self._output is not None:
            self._output.finish(1 if joins else ALIGNMENT)
            self._archive.add_piece(self._output.summary)
        return InitrdPart(self._archive)


def write_entry(
    encoder: EntryEncoder,
    part: TarPart | InitrdPart,
    entry: GeneratedEntry,
    content: bytes | ExtractedFile,
) -> None:
    """Write a generated entry with its content."""
    if entry.kind is not EntryKind.FILE:
        encoder.add_generated(entry, 0)
    elif isinstance(content, bytes):
        write_generated(encoder, entry, content)
    else:
        encoder.add_generated(replace(entry, mode=content.mode), content.size)
        part.splice(content.content)
        encoder.pad(content.size)
