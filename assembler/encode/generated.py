"""Parts that are encoded in every build: what depends on the YAML, between the segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from assembler.content import FileRange
from assembler.encode.inventory import Inventory
from assembler.encode.jobs import Encoder, add_made
from assembler.encode.joined import ALIGNMENT, JoinedArchive
from assembler.encode.newc import NewcEncoder
from assembler.encode.output import CompressedOutput
from assembler.encode.tar import TarEncoder
from assembler.rootfs.plan import Entry, Kind, Origin


@dataclass(frozen=True, slots=True)
class Payload:
    """A file taken out of an image, open for reading."""

    content: FileRange
    mode: int

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.content.size


class Known:
    """Which paths something earlier in the tree has, as directory or symbolic link."""

    def __init__(self) -> None:
        self._paths: set[bytes] = set()

    def add(self, inventory: Inventory) -> None:
        self._paths.update(inventory.directories)
        self._paths.update(inventory.symlinks)

    def __contains__(self, path: str) -> bool:
        return path.encode("utf-8", "surrogateescape") in self._paths

    def missing(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the entries without leading directories that are there."""
        fresh: set[str] = set()
        for entry in entries:
            if entry.implied and (entry.path in self or entry.path in fresh):
                continue
            if entry.kind is not Kind.FILE:
                fresh.add(entry.path)
            yield entry


def directories(paths: Iterable[bytes]) -> Iterator[Entry]:
    for path in paths:
        name = path.decode("utf-8", "surrogateescape")
        yield Entry(name, Kind.DIRECTORY, 0o755, implied=True)


def led(entries: Iterable[Entry], known: Known) -> Iterator[Entry]:
    """Yield entries with the directories that lead to them: the kernel does not make them."""
    for entry in entries:
        parts = entry.path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            path = "/".join(parts[:count])
            if path not in known:
                yield Entry(path, Kind.DIRECTORY, 0o755, implied=True)
        yield entry


class TarPart:
    """A fresh part of a tar, in pieces."""

    def __init__(self, origin: Origin) -> None:
        self.inventory = Inventory()
        self.encoder = TarEncoder(self, origin, "", self.inventory)
        self._pieces: list[bytes | memoryview | FileRange] = []

    def put(self, data: bytes | memoryview) -> None:
        self._pieces.append(data)

    def splice(self, stretch: FileRange) -> None:
        self._pieces.append(stretch)

    def finish(self) -> None:
        """Do nothing: pieces are taken when they are there."""

    def taken(self) -> list[bytes | memoryview | FileRange]:
        """Return the pieces there are, and have them no more."""
        pieces, self._pieces = self._pieces, []
        return pieces


class InitrdPart:
    """Fresh parts of an initrd up to the next segment; nothing is written if there are none."""

    def __init__(self, whole: JoinedArchive) -> None:
        self.inventory = Inventory()
        self._whole = whole
        self._output: CompressedOutput | None = None
        self.encoder = NewcEncoder(self, "", self.inventory, "image.yml")

    def put_all(self, pieces: list[bytes | memoryview]) -> None:
        if self._output is None:
            self._whole.out.flush()
            compressor = self._whole.compression.start_piece()
            self._output = CompressedOutput(self._whole.out.fileno(), compressor)
        self._output.put_all(pieces)

    def splice(self, stretch: FileRange) -> None:
        for data in stretch.chunks():
            self.encoder.put(data)

    def finish(self) -> InitrdPart:
        """Bring everything to the output, and return a new part."""
        if self.encoder.is_empty:
            return self
        joins = self._whole.compression.joins
        self.encoder.finish(trailer=not joins)
        if self._output is not None:
            self._output.finish(1 if joins else ALIGNMENT)
            self._whole.account(self._output.plain)
        return InitrdPart(self._whole)


def add(
    encoder: Encoder, part: TarPart | InitrdPart, entry: Entry, content: bytes | Payload
) -> None:
    """Write a made entry."""
    if entry.kind is not Kind.FILE:
        encoder.made(entry, 0)
    elif isinstance(content, bytes):
        add_made(encoder, entry, content)
    else:
        encoder.made(replace(entry, mode=content.mode), content.size)
        part.splice(content.content)
        encoder.pad(content.size)
