"""Making the segment of an image's tree in a single pass through its layers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from assembler.encode import salvaged_trees, segment_cache, tree_changes
from assembler.encode.segment_job import TAR_ENCODING, ArchiveEncoding, JobContext
from assembler.encode.tree_writer import TreePlacement, TreeWriter, write_generated
from assembler.oci import Image, TarReader, flatten_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from assembler.encode.newc_encoder import HardLinks
    from assembler.encode.segment_cache import SegmentWriter
    from assembler.encode.shared_files import SharedFiles
    from assembler.rootfs import ImageTree, MergedPackageDatabase

_LARGEST_CAPTURE = 64 << 20


@dataclass(frozen=True)
class TreeJob:
    """Encode the whole tree of an image as a segment."""

    part: ImageTree
    encoding: ArchiveEncoding
    # A path whose content is also captured (see `MergedPackageDatabase`).
    capture: str = ""
    # Files that other trees of the same initrd have as well.
    shared: SharedFiles = ()

    @property
    def image(self) -> Image:
        """The image that it reads."""
        return self.part.image

    @property
    def title(self) -> str:
        """A description for users."""
        encoding = "tar" if self.encoding == TAR_ENCODING else "initrd"
        return f"{self.part.origin.location} {self.part.origin.source} as {encoding}"

    @cached_property
    def identity(self) -> str:
        """Return what determines the tree, independent of its encoding."""
        return segment_cache.segment_key(
            kind="tree",
            manifest=self.part.image.digest,
            prefix=self.part.prefix,
            rules=f"{self.part.rules.value}/{tree_changes.VERSION}",
        )

    @cached_property
    def segment_names(self) -> tuple[str, ...]:
        """The name of its segment."""
        origin = self.part.origin
        return (
            segment_cache.segment_key(
                tree=self.identity,
                form=self.encoding.identity,
                capture=self.capture,
                origin=[origin.source, origin.location] if self.encoding == TAR_ENCODING else None,
                **salvaged_trees.salvage_key(self.part.image),
                **self._changes_key(),
            ),
        )

    @property
    def _left_out(self) -> frozenset[bytes]:
        return frozenset(self.part.replaced_links if self.encoding == TAR_ENCODING else ())

    def _changes_key(self) -> dict[str, object]:
        """Return the part of the name for changes that links cause, which few trees have."""
        key: dict[str, object] = {}
        if self.part.redirects:
            key["redirects"] = [[link.hex(), to.hex()] for link, to in self.part.redirects]
        if self._left_out:
            key["left out"] = [link.hex() for link in self.part.replaced_links]
        if self.shared:
            key["shared"] = [
                [path.hex(), file.identity, file.links, file.has_content]
                for path, file in self.shared
            ]
        return key

    def run(self, sources: JobContext) -> None:
        """Make the segment."""
        part = self.part
        what = str(part.image.reference)
        with sources.cache.create(self.segment_names[0]) as segment:
            hard_links: HardLinks | None = None
            while True:
                target = TreePlacement(part.origin, part.prefix, what, self.identity)
                writer = TreeWriter(segment, self.encoding, target, hard_links, self.shared)
                sink = _TreeSink(
                    writer, segment, self.capture, dict(part.redirects), self._left_out
                )
                self._lay_out(sink, sources)
                hard_links = sink.writer.finish(what)
                if hard_links is None:
                    return
                segment.restart()

    def _lay_out(self, sink: _TreeSink, sources: JobContext) -> None:
        part = self.part
        if part.image.salvaged is not None:
            tree = part.image.salvaged.tree(part.rules.value)
            assert tree is not None  # noqa: S101 - looked at when it was planned
            salvaged_trees.replay_tree(part.image, tree, sink, sources.limits)
            return
        layers = sources.layers(part.image)
        exceptions = tree_changes.excluded_paths(part.rules)
        found = flatten_layers(str(part.image.reference), layers, sink, exceptions, sources.limits)
        for entry, content in tree_changes.added_entries(part.rules, found):
            if entry.path.encode() in self._left_out:
                continue
            write_generated(sink.writer.encoder, entry, content)


class _TreeSink:
    """Pass the tree to an encoder, and capture the content of one path."""

    def __init__(
        self,
        writer: TreeWriter,
        segment: SegmentWriter,
        capture: str,
        redirects: dict[bytes, bytes],
        left_out: frozenset[bytes],
    ) -> None:
        self.writer = writer
        self._redirects = redirects
        self._left_out = left_out
        self._segment = segment
        self._capture = capture.encode()
        self._connect()

    def _connect(self) -> None:
        self.add: Callable[[bytes, TarReader], None] = self.writer.encoder.add
        self.link: Callable[[bytes, bytes, TarReader], None] = self.writer.encoder.link
        if self._capture:
            self.add = self._add_capturing
        if self._left_out:
            self.add = self._skipping(self.add)
        if self._redirects:
            add, link = self.add, self.link
            self.add = lambda name, reader: add(self._redirected(name), reader)
            self.link = lambda name, target, reader: link(
                self._redirected(name), self._redirected(target), reader
            )

    def restart(self) -> None:
        self.writer = self.writer.restarted()
        self._connect()

    def _skipping(
        self, add: Callable[[bytes, TarReader], None]
    ) -> Callable[[bytes, TarReader], None]:
        def add_unless_left_out(name: bytes, reader: TarReader) -> None:
            if name not in self._left_out:
                add(name, reader)

        return add_unless_left_out

    def _redirected(self, name: bytes) -> bytes:
        """Return the path of an entry after the links in its directory."""
        end = name.find(b"/")
        while end >= 0:
            target = self._redirects.get(name[:end])
            if target is not None:
                name = (target + name[end:]).lstrip(b"/")
                end = len(target)
                end = name.find(b"/", end)
            else:
                end = name.find(b"/", end + 1)
        return name

    def _add_capturing(self, name: bytes, reader: TarReader) -> None:
        if name != self._capture or not reader.size:
            self.writer.encoder.add(name, reader)
            return
        content = reader.read(_LARGEST_CAPTURE)
        self._segment.captured[self._capture.decode()] = content
        self.writer.encoder.add(name, _WithContent(reader, content))  # type: ignore[arg-type]


class _WithContent:
    """A reader whose content was already read."""

    def __init__(self, reader: TarReader, content: bytes) -> None:
        self._reader = reader
        self._content = content

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)

    def write_to(self, put: Callable[[bytes | memoryview], object]) -> None:
        put(self._content)


def captured_path(part: ImageTree, databases: Iterable[MergedPackageDatabase]) -> str:
    """Return the path in this tree that a merged package database needs, or nothing."""
    for database in databases:
        if not part.prefix and part.image in database.images:
            return database.path
    return ""
