"""Flattening the layers of an image into one tree, in a single pass from the top layer down.

The topmost entry of a path counts, so the first entry of a path goes to the sink. Entries of lower
layers that it, a whiteout or an opaque directory hides are skipped.

    whiteout `.wh.NAME`   hides NAME in lower layers, never in its own
    opaque directory      hides the content of the directory in lower layers
    file or link          hides everything below its path in lower layers
    a path twice          in one layer: the last counts, as in unpacking

Hard links stay hard links. A link whose target is in a lower layer waits for the target. A link
whose target is hidden by an upper layer gets the content of its own layer, and other links to the
same target become links to it.

A single pass learns some facts too late: that a path comes again in its layer, that a link needs
hidden content before it, that a directory of this or an upper layer is a symbolic link
(`lib/x` over `lib -> usr/lib` means `usr/lib/x`), and that the target of a hard link is below one.
They are recorded, and the pass is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from assembler.codes import layers as codes
from assembler.errors import LayerError
from assembler.oci.layers.decompression import LayerLimits, decompress_layer
from assembler.oci.layers.flattened_tree import (
    COVERED_DIR,
    DIR,
    EXCLUDED,
    LAYER_STEP,
    MAX_PASSES,
    OTHER,
    SYMLINKED,
    WHITED_OUT,
    Corrections,
    FlattenedTree,
    LayerPath,
    display_path,
    normalize_entry_name,
    split_path,
    symlink_target,
)
from assembler.oci.layers.hard_links import HardLinks
from assembler.oci.layers.tar_entry_types import DIRECTORY, FILE, HARD_LINK, SYMLINK
from assembler.oci.layers.tar_fields import MAX_NAME_LENGTH, MalformedTarError
from assembler.oci.layers.tar_reader import TarReader
from assembler.oci.layers.whiteouts import HiddenPaths
from assembler.quantities import size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from assembler.oci.layers.tree_sink import TreeSink


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """The blob of a layer, and how to open it."""

    # The digest of the blob, with which its content is compared; or another name.
    digest: str
    size: int
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True)
class ExcludedPaths:
    """Paths whose own entries are left out; entries below them are not."""

    excluded: frozenset[bytes] = frozenset()
    # Excluded, and refused with these hints if they are not regular files.
    only_files: dict[bytes, str] = field(default_factory=dict)


def image_too_large(image: str, how: str, limit: int) -> LayerError:
    """Return the error for an image that is larger than the limit."""
    return LayerError.of(
        codes.IMAGE_TOO_LARGE,
        f"{image} is larger than {size_text(limit)} {how}",
        "if it is meant to be so large: --max-image-size SIZE",
    )


def flatten_layers(
    image: str,
    layers: Sequence[LayerBlob],
    sink: TreeSink,
    exceptions: ExcludedPaths | None = None,
    limits: LayerLimits | None = None,
) -> FlattenedTree:
    """Send the tree of the layers, lowest first, to the sink; `image` names it in errors."""
    corrections = Corrections()
    for _ in range(MAX_PASSES):
        known = corrections.copy()
        flattening = _FlattenPass(
            image, sink, exceptions or ExcludedPaths(), limits or LayerLimits(), corrections
        )
        tree = flattening.run(layers)
        if corrections.settle(known, tree, flattening.superseded):
            flattening.check_waiting_links()
            return tree
        sink.restart()
    raise LayerError.of(
        codes.BROKEN_LAYER,
        f"{image}: its links between layers do not resolve",
        "build the image again",
    )


class _FlattenPass:
    """One pass through all layers."""

    def __init__(
        self,
        image: str,
        sink: TreeSink,
        exceptions: ExcludedPaths,
        limits: LayerLimits,
        corrections: Corrections,
    ) -> None:
        self.image = image
        self.sink = sink
        self.exceptions = exceptions
        self.limits = limits
        self.corrections = corrections
        self.pending_repeats = dict(corrections.repeated)
        # Repeated paths whose last occurrence has not come yet.
        self.superseded: set[LayerPath] = set()
        self.tree = FlattenedTree()
        self.hiding = HiddenPaths(self.tree)
        self.links = HardLinks(self.tree, sink, corrections, self._repeat)
        # The content of the layers so far.
        self.size = 0
        # The current layer:
        self.layer = 0
        for path in (*exceptions.excluded, *exceptions.only_files):
            directory, base = split_path(path)
            self.tree.names.setdefault(directory, {})[base] = EXCLUDED

    def run(self, layers: Sequence[LayerBlob]) -> FlattenedTree:
        count = 0
        for self.layer, layer in enumerate(reversed(layers), 1):
            self.hiding.begin_layer(self.layer)
            self.links.begin_layer(self.layer)
            for link in self.corrections.traversed.get(self.layer, ()):
                if self.corrections.moved.get(link, (0, b""))[0] != self.layer:
                    self.hiding.occupied[link] = True
            with layer.open() as file:
                room = self.limits.of(layer.size)
                chunks = decompress_layer(file, layer.size, self.limits, layer.digest)
                reader = TarReader(self._bounded(chunks), room)
                try:
                    self._walk(reader)
                    count += reader.count
                    if count > self.limits.entries:
                        raise MalformedTarError(f"it has more than {self.limits.entries} entries")
                except MalformedTarError as error:
                    raise self._error(layer, reader.name, str(error)) from None
        return self.tree

    def _bounded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the content of a layer; raise if the image is too large."""
        for chunk in chunks:
            self.size += len(chunk)
            if self.size > self.limits.image:
                raise image_too_large(self.image, "uncompressed", self.limits.image)
            yield chunk

    def check_waiting_links(self) -> None:
        """Raise if a hard link has no target."""
        for link, target in self.links.unresolved():
            raise LayerError.of(
                codes.BROKEN_LAYER,
                f"{self.image}: {display_path(link)} is a hard link to "
                f"{display_path(target)}, which no layer has",
                "build the image again",
            )

    def _error(self, layer: LayerBlob, name: bytes, why: str) -> LayerError:
        entry = f", entry {display_path(name)}" if name else ""
        hint = (
            "`dolmen cache verify` tells whether the store is damaged; else build the image again"
        )
        return LayerError.of(
            codes.BROKEN_LAYER, f"{self.image}, layer {layer.digest}{entry}: {why}", hint
        )

    def _walk(self, reader: TarReader) -> None:
        """Process a layer. This is the hot loop: rare cases are left to `_unusual`."""
        names, waiting, hiding = self.tree.names, self.links.waiting, self.hiding
        occupied = hiding.occupied
        moved = self.corrections.moved
        repeats = self.pending_repeats
        add, advance = self.sink.add, reader.next
        most = self.limits.entries
        plain = dict.fromkeys(range(256), self.layer * LAYER_STEP + OTHER)
        plain[DIRECTORY] = self.layer * LAYER_STEP + DIR
        plain[SYMLINK] = self.layer * LAYER_STEP + SYMLINKED
        directory: bytes | None = None
        siblings: dict[bytes, int] = {}
        hidden = False
        while advance():
            name = reader.name
            if name[-1:] == b"/":
                name = name[:-1]
            if name[:1] in (b".", b"/", b"") or b"//" in name or b"/." in name or b"\0" in name:
                name = normalize_entry_name(name)
                if not name:
                    continue  # the root directory itself
            if len(name) > MAX_NAME_LENGTH:
                raise MalformedTarError("its path is too long")
            if reader.count > most:
                raise MalformedTarError(f"it has more than {most} entries")
            cut = name.rfind(b"/")
            base = name[cut + 1 :]
            parent = name[:cut] if cut > 0 else b""
            if moved:
                parent = self.corrections.redirected(parent, self.layer)
                name = parent + b"/" + base if parent else base
            if base[:4] == b".wh.":
                hiding.whiteout(parent, base)
                continue
            if parent != directory:
                directory = parent
                hidden = hiding.is_hidden(parent)
                if not hidden:
                    link = hiding.expect_directories(parent)
                    if link:
                        self.corrections.traversed.setdefault(self.layer, set()).add(link)
                hiding.occupy(parent, by_entry=True)
                known = names.get(parent)
                if known is None:
                    known = names[parent] = {}
                siblings = known
            kind = reader.kind
            if (
                hidden
                or base in siblings
                or kind == HARD_LINK
                or waiting
                or repeats
                or (kind != DIRECTORY and name in occupied)
            ):
                self._unusual(name, siblings, base, reader, hidden=hidden)
                continue
            siblings[base] = plain[kind]
            add(name, reader)

    def _unusual(
        self,
        name: bytes,
        siblings: dict[bytes, int],
        base: bytes,
        reader: TarReader,
        *,
        hidden: bool,
    ) -> None:
        kind = reader.kind
        key = self.layer, name
        self.superseded.discard(key)
        if self.pending_repeats.get(key):
            self.pending_repeats[key] -= 1
            self.superseded.add(key)
            if kind != DIRECTORY and not hidden:
                self.hiding.close(name)
            return
        if kind == SYMLINK and self.links.waiting:
            self.links.pass_symlink(name, reader.link)
        if not hidden:
            hidden = self._decide(name, siblings, base, reader)
        if hidden:
            self.links.add_hidden(name, reader)
        elif kind == HARD_LINK:
            self.links.add_visible(name, reader)
        else:
            self.sink.add(name, reader)
            if kind != DIRECTORY:
                self.links.target_added(name, reader)

    def _decide(
        self, name: bytes, siblings: dict[bytes, int], base: bytes, reader: TarReader
    ) -> bool:
        """Set the state of a path by this entry, unless it has one; tell if it is hidden."""
        kind, layer = reader.kind, self.layer
        own = DIR if kind == DIRECTORY else SYMLINKED if kind == SYMLINK else OTHER
        known = siblings.get(base)
        if known == EXCLUDED:
            refusal = self.exceptions.only_files.get(name)
            if refusal is not None and kind != FILE:
                raise LayerError.of(
                    codes.PATH_CONFLICT,
                    f"{self.image}: {display_path(name)} is not a regular file",
                    refusal,
                )
            siblings[base] = layer * LAYER_STEP + (DIR if own == DIR else EXCLUDED)
            return True
        if known is not None and known // LAYER_STEP < layer:
            if own != DIR:
                self.hiding.close(name)
            return True
        how = None if known is None else known % LAYER_STEP
        if how == EXCLUDED:
            return True
        if how == WHITED_OUT:
            # The layer hides the path in lower layers, and creates it.
            self.hiding.close(name)
        elif how is not None and not (own == how == DIR):
            self._repeat(name)
        by_entry = self.hiding.occupied.get(name)
        if how in (None, WHITED_OUT) and own != DIR and by_entry is not None:
            if own == SYMLINKED:
                self._move(name, reader.link)
            elif by_entry:
                siblings[base] = layer * LAYER_STEP + COVERED_DIR
                return True
        siblings[base] = layer * LAYER_STEP + own
        return False

    def _repeat(self, name: bytes) -> None:
        """Record that an earlier occurrence of a path in this layer does not count."""
        key = (self.layer, name)
        self.corrections.repeated[key] = self.corrections.repeated.get(key, 0) + 1

    def _move(self, name: bytes, link: bytes) -> None:
        """Record that upper layers have entries below a symbolic link of this layer."""
        move = self.layer, symlink_target(name, link)
        if self.corrections.moved.get(name) != move:
            self.corrections.found[name] = move
