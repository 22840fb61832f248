"""Making segments: an image goes in, one or several segments of it come out in a single pass.

A job is plain data, so that it can be done in another process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from assembler.codes import layers as codes
from assembler.encode import newc, rules, salvaged, segments, tar
from assembler.encode.compression import Compression
from assembler.encode.joined import ALIGNMENT
from assembler.encode.newc import Learned, NewcEncoder
from assembler.encode.output import Bytes, CompressedOutput, FileOutput
from assembler.encode.segments import SegmentCache, SegmentWriter
from assembler.encode.tar import TarEncoder
from assembler.errors import LayerError
from assembler.oci import Image, LayerBlob, LayerLimits, Store, TarReader, flatten_layers
from assembler.rootfs.plan import Entry, ImageTree, JoinedDatabase, Origin

_LARGEST_CAPTURE = 64 << 20


@dataclass(frozen=True, slots=True)
class Form:
    """How a tree is encoded: as tar, or as newc with a compression."""

    compression: Compression | None = None

    @property
    def identity(self) -> str:
        """Return what stands for the bytes it gives."""
        if self.compression is None:
            return f"tar/{tar.VERSION}"
        return f"newc/{newc.VERSION}/{self.compression.identity}"


TAR = Form()


class Encoder(Protocol):
    """What writes entries in one form or the other."""

    def add(self, name: bytes, reader: TarReader) -> None:
        """Write the entry the reader stands at, with its content."""

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Write a hard link to what was written before."""

    def made(self, entry: Entry, size: int) -> None:
        """Write the header of an entry that the assembler makes."""

    def put(self, data: Bytes) -> None:
        """Write a piece of the content of a made entry."""

    def pad(self, size: int) -> None:
        """Fill up content of `size`."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where jobs take images from, and how much they may grow."""

    store: Store
    limits: LayerLimits = field(default_factory=LayerLimits)
    # Where segments are kept, if not beside the blobs.
    segments: Path | None = None

    def layers(self, image: Image) -> list[LayerBlob]:
        """Return an image's layers, lowest first."""
        if image.salvaged is not None:
            return [salvaged.as_layer(image.salvaged)]
        what = str(image.reference)
        return [
            LayerBlob(d.digest, d.size, partial(self.store.open, d, what))
            for d in image.manifest.layers
        ]

    @property
    def cache(self) -> SegmentCache:
        """Return where segments are kept."""
        return SegmentCache(self.segments or self.store.layout.segments)


class Job(Protocol):
    """A piece of work that makes segments."""

    @property
    def image(self) -> Image:
        """The image it is made of."""

    @property
    def names(self) -> tuple[str, ...]:
        """The segments that it makes."""

    @property
    def title(self) -> str:
        """What it is about, for people."""

    def run(self, sources: Sources) -> None:
        """Make the segments."""


@dataclass(frozen=True, slots=True)
class TreeJob:
    """The whole tree of an image as a segment."""

    part: ImageTree
    form: Form
    # A path whose content is needed elsewhere, too (see `JoinedDatabase`).
    capture: str = ""

    @property
    def image(self) -> Image:
        """The image it is made of."""
        return self.part.image

    @property
    def title(self) -> str:
        """What it is about, for people."""
        form = "tar" if self.form == TAR else "initrd"
        return f"{self.part.origin.location} {self.part.origin.source} as {form}"

    @property
    def identity(self) -> str:
        """Return what stands for the tree, whatever form it gets."""
        return segments.key(
            kind="tree",
            manifest=self.part.image.digest,
            prefix=self.part.prefix,
            rules=f"{self.part.rules.value}/{rules.VERSION}",
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The segment that it makes."""
        origin = self.part.origin
        return (
            segments.key(
                tree=self.identity,
                form=self.form.identity,
                capture=self.capture,
                origin=[origin.source, origin.location] if self.form == TAR else None,
                **salvaged.key(self.part.image),
            ),
        )

    def run(self, sources: Sources) -> None:
        """Make the segment."""
        part = self.part
        what = str(part.image.reference)
        with sources.cache.writing(self.names[0]) as draft:
            learned: Learned | None = None
            while True:
                target = Placed(part.origin, part.prefix, what, self.identity)
                writer = Writer(draft, self.form, target, learned)
                sink = _TreeSink(writer, draft, self.capture)
                self._lay_out(sink, sources)
                learned = sink.writer.finish(what)
                if learned is None:
                    return
                draft.restart()

    def _lay_out(self, sink: _TreeSink, sources: Sources) -> None:
        part = self.part
        if part.image.salvaged is not None:
            tree = part.image.salvaged.tree(part.rules.value)
            assert tree is not None  # noqa: S101 - looked at when it was planned
            salvaged.hand_over(part.image, tree, sink, sources.limits)
            return
        layers = sources.layers(part.image)
        exceptions = rules.exceptions(part.rules)
        found = flatten_layers(str(part.image.reference), layers, sink, exceptions, sources.limits)
        for entry, content in rules.additions(part.rules, found):
            add_made(sink.writer.encoder, entry, content)


@dataclass(frozen=True, slots=True)
class Placed:
    """A tree on its way into a segment: where it comes from and goes, and its name in errors."""

    origin: Origin
    prefix: str
    what: str
    # A hash of everything that the tree depends on, in hexadecimal digits.
    identity: str

    @property
    def device(self) -> bytes:
        """Return what tells its inodes in an initrd from those of other trees."""
        return self.identity[:16].upper().encode()


class Writer:
    """An encoder and where its output goes."""

    def __init__(
        self, draft: SegmentWriter, form: Form, placed: Placed, learned: Learned | None = None
    ) -> None:
        """Begin at the beginning of the draft."""
        self._args = (draft, form, placed, learned)
        self._draft = draft
        self._attempted = learned is not None
        self._joins = form.compression is not None and form.compression.joins
        handle = draft.file.fileno()
        self.output: FileOutput | CompressedOutput
        self.encoder: TarEncoder | NewcEncoder
        if form.compression is None:
            self.output = FileOutput(handle)
            self.encoder = TarEncoder(self.output, placed.origin, placed.prefix, draft.inventory)
        else:
            self.output = CompressedOutput(handle, form.compression.start_piece())
            self.encoder = NewcEncoder(
                self.output, placed.prefix, draft.inventory, placed.what, learned, placed.device
            )

    def again(self) -> Writer:
        """Return a writer like this one at its beginning."""
        self._draft.restart()
        return Writer(*self._args)

    def finish(self, what: str) -> Learned | None:
        """End the segment; return what has to be known for another attempt if it needs one."""
        encoder = self.encoder
        if isinstance(encoder, NewcEncoder):
            if encoder.again:
                if self._attempted:
                    raise _lost_link(what, encoder)
                return encoder.learned
            encoder.finish(trailer=not self._joins)
        if isinstance(self.output, CompressedOutput):
            self.output.finish(1 if self._joins else ALIGNMENT)
            self._draft.details["plain"] = [self.output.plain.crc32, self.output.plain.size]
        else:
            self.output.finish()
        self._draft.details["crc32"] = self.output.checksum
        return None


class _TreeSink:
    """Gives the tree to an encoder, and picks one content up."""

    def __init__(self, writer: Writer, draft: SegmentWriter, capture: str) -> None:
        self.writer = writer
        self._draft = draft
        self._capture = capture.encode()
        self._connect()

    def _connect(self) -> None:
        self.add: Callable[[bytes, TarReader], None] = self.writer.encoder.add
        self.link: Callable[[bytes, bytes, TarReader], None] = self.writer.encoder.link
        if self._capture:
            self.add = self._add_capturing

    def restart(self) -> None:
        self.writer = self.writer.again()
        self._connect()

    def _add_capturing(self, name: bytes, reader: TarReader) -> None:
        if name != self._capture or not reader.size:
            self.writer.encoder.add(name, reader)
            return
        content = reader.read(_LARGEST_CAPTURE)
        self._draft.captured[self._capture.decode()] = content
        self.writer.encoder.add(name, _WithContent(reader, content))  # type: ignore[arg-type]


class _WithContent:
    """A reader whose content was taken out already."""

    def __init__(self, reader: TarReader, content: bytes) -> None:
        self._reader = reader
        self._content = content

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)

    def write_to(self, put: Callable[[bytes | memoryview], object]) -> None:
        put(self._content)


def add_made(encoder: Encoder, entry: Entry, content: bytes) -> None:
    """Write a made entry with content that is at hand."""
    encoder.made(entry, len(content))
    if content:
        encoder.put(content)
        encoder.pad(len(content))


def _lost_link(what: str, encoder: NewcEncoder) -> LayerError:
    target = next(iter(encoder.learned), b"").decode("utf-8", "backslashreplace")
    return LayerError.of(
        codes.BROKEN_LAYER, f"{what}: a hard link leads to {target}, which is not before it"
    )


def capture_for(part: ImageTree, databases: Iterable[JoinedDatabase]) -> str:
    """Return the path in this tree that a joined database needs, if any."""
    for database in databases:
        if not part.prefix and part.image in database.images:
            return database.path
    return ""
