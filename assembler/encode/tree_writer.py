"""Writing one tree into a segment, in either archive format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from assembler.codes import layers as codes
from assembler.encode.byte_sinks import CompressedOutput, FileOutput
from assembler.encode.joined_archive import ALIGNMENT
from assembler.encode.newc_encoder import NewcEncoder
from assembler.encode.tar_encoder import TarEncoder
from assembler.errors import LayerError

if TYPE_CHECKING:
    from assembler.encode.byte_sinks import Bytes
    from assembler.encode.newc_encoder import HardLinks
    from assembler.encode.segment_cache import SegmentWriter
    from assembler.encode.segment_job import ArchiveEncoding
    from assembler.encode.shared_files import SharedFiles
    from assembler.oci import TarReader
    from assembler.rootfs import GeneratedEntry, Origin


class EntryEncoder(Protocol):
    """An encoder of entries, for tar or newc."""

    def add(self, name: bytes, reader: TarReader) -> None:
        """Write the reader's current entry with its content."""

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Write a hard link to an earlier entry."""

    def add_generated(self, entry: GeneratedEntry, size: int) -> None:
        """Write the header of a generated entry."""

    def put(self, data: Bytes) -> None:
        """Write a piece of the content of a generated entry."""

    def pad(self, size: int) -> None:
        """Pad content of `size` bytes."""


@dataclass(frozen=True, slots=True)
class TreePlacement:
    """The origin and the prefix of a tree, and its name in errors."""

    origin: Origin
    prefix: str
    what: str
    # The hash of everything that the tree depends on, in hexadecimal digits.
    identity: str

    @property
    def device(self) -> bytes:
        """Return the device number that separates its inodes from those of other trees."""
        return self.identity[:16].upper().encode()


class TreeWriter:
    """An encoder, and the output in its segment."""

    def __init__(
        self,
        segment: SegmentWriter,
        encoding: ArchiveEncoding,
        placement: TreePlacement,
        hard_links: HardLinks | None = None,
        shared: SharedFiles = (),
    ) -> None:
        """Start at the beginning of the segment."""
        self._args = (segment, encoding, placement, hard_links, shared)
        self._segment = segment
        self._attempted = hard_links is not None
        self._joins = encoding.compression is not None and encoding.compression.joins
        handle = segment.file.fileno()
        self.output: FileOutput | CompressedOutput
        self.encoder: TarEncoder | NewcEncoder
        if encoding.compression is None:
            self.output = FileOutput(handle)
            self.encoder = TarEncoder(
                self.output, placement.origin, placement.prefix, segment.inventory
            )
        else:
            self.output = CompressedOutput(handle, encoding.compression.start_piece())
            self.encoder = NewcEncoder(
                self.output,
                placement.prefix,
                segment.inventory,
                placement.what,
                hard_links,
                placement.device,
                dict(shared),
            )

    def restarted(self) -> TreeWriter:
        """Discard the segment's content, and return a new writer."""
        self._segment.restart()
        return TreeWriter(*self._args)

    def finish(self, what: str) -> HardLinks | None:
        """End the segment; return the hard links if it must be encoded again."""
        encoder = self.encoder
        if isinstance(encoder, NewcEncoder):
            if encoder.needs_retry:
                if self._attempted:
                    raise _lost_link(what, encoder)
                return encoder.hard_links
            encoder.finish(trailer=False)
            if encoder.large_files:
                self._segment.details["large"] = encoder.large_files
        if isinstance(self.output, CompressedOutput):
            self.output.finish(1 if self._joins else ALIGNMENT)
            self._segment.details["plain"] = [self.output.summary.crc32, self.output.summary.size]
        else:
            self.output.finish()
        self._segment.details["crc32"] = self.output.checksum
        return None


def write_generated(encoder: EntryEncoder, entry: GeneratedEntry, content: bytes) -> None:
    """Write a generated entry with its content."""
    encoder.add_generated(entry, len(content))
    if content:
        encoder.put(content)
        encoder.pad(len(content))


def _lost_link(what: str, encoder: NewcEncoder) -> LayerError:
    target = next(iter(encoder.hard_links), b"").decode("utf-8", "backslashreplace")
    return LayerError.of(
        codes.BROKEN_LAYER, f"{what}: a hard link points to {target}, which is not before it"
    )
