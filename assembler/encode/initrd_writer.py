"""Writes parts of a plan as the archives of an initrd."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from assembler.content import ContentChain, write_content
from assembler.encode.byte_sinks import ContentSummary
from assembler.encode.generated_parts import (
    InitrdPart,
    WrittenPaths,
    implied_directories,
    with_parent_directories,
    write_entry,
)
from assembler.encode.joined_archive import ALIGNMENT, JoinedArchive
from assembler.encode.newc_encoder import is_boot
from assembler.rootfs import ArchiveTree, ImageTree, MergedPackageDatabase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from assembler.content import ContentRecorder
    from assembler.encode.compression import Compression
    from assembler.encode.generated_parts import ExtractedFile
    from assembler.encode.inventory import Inventory
    from assembler.encode.segment_cache import Segment
    from assembler.rootfs import GeneratedEntry, GeneratedPart, Part


@dataclass(slots=True)
class InitrdWriter:
    """Writes parts without boot/*; what it has written before need not be written again."""

    out: IO[bytes]
    compression: Compression
    segment: Callable[[ImageTree | ArchiveTree], Segment]
    generated_part: Callable[[Part], GeneratedPart | None]
    open_content: Callable[[GeneratedEntry], AbstractContextManager[bytes | ExtractedFile]]
    inventories: list[Inventory] = field(default_factory=list)
    _written: WrittenPaths = field(default_factory=WrittenPaths)

    def write(self, parts: Iterable[Part]) -> None:
        """Write parts as one or more compressed archives."""
        written = self._written
        whole = JoinedArchive(self.out, self.compression)
        whole.begin()
        part_writer = InitrdPart(whole)
        for part in parts:
            if isinstance(part, ImageTree | ArchiveTree):
                segment = self.segment(part)
                self.inventories.append(segment.inventory())
                self._write_entries(
                    part_writer,
                    written.missing(implied_directories(self.inventories[-1].late_directories)),
                )
                written.add(part_writer.inventory)
                part_writer = part_writer.finish()
                write_content(self.out, segment.data())
                whole.add_piece(ContentSummary(*segment.details["plain"]))
                written.add(self.inventories[-1])
            elif (made := self.generated_part(part)) is not None:
                entries = [e for e in made.entries if not is_boot(e.path.encode())]
                self._write_entries(
                    part_writer, written.missing(with_parent_directories(entries, written))
                )
                written.add(part_writer.inventory)
        part_writer.finish()
        whole.end()

    def _write_entries(self, part_writer: InitrdPart, entries: Iterable[GeneratedEntry]) -> None:
        for entry in entries:
            with self.open_content(entry) as content:
                write_entry(part_writer.encoder, part_writer, entry, content)


def write_ramdisks(
    writer: InitrdWriter, recorder: ContentRecorder, parts: Sequence[Part]
) -> list[ContentChain]:
    """Write an initrd as two, and return those that are not empty; concatenated they are whole."""
    count = max((number for number, part in enumerate(parts, 1) if _is_base(part)), default=0)
    found, done = [], 0
    for some in (parts[:count], parts[count:]):
        if some:
            writer.write(some)
        # Another archive follows, which must be aligned.
        recorder.write(bytes(-recorder.content().size % ALIGNMENT))
        pieces = recorder.content().pieces
        found.append(ContentChain(pieces[done:]))
        done = len(pieces)
    return [one for one in found if one.size]


def _is_base(part: Part) -> bool:
    """Tell whether a part belongs to what starts first: kernel modules, and images of init."""
    if isinstance(part, ImageTree):
        return not part.prefix
    return isinstance(part, ArchiveTree | MergedPackageDatabase)
