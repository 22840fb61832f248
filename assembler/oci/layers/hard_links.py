"""Hard links across layers: they wait for their targets, or get the content of hidden ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.oci.layers.flattened_tree import (
    DIR,
    LAYER_STEP,
    OTHER,
    SYMLINKED,
    Corrections,
    FlattenedTree,
    LayerPath,
    display_path,
    follow_links,
    normalize_entry_name,
    split_path,
    symlink_target,
)
from assembler.oci.layers.tar_entry_types import DIRECTORY, HARD_LINK, SYMLINK
from assembler.oci.layers.tar_fields import MalformedTarError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from assembler.oci.layers.tar_reader import TarReader
    from assembler.oci.layers.tree_sink import TreeSink


class HardLinks:
    """The hard links of a pass."""

    def __init__(
        self,
        tree: FlattenedTree,
        sink: TreeSink,
        corrections: Corrections,
        repeat: Callable[[bytes], None],
    ) -> None:
        """Start without links; `repeat` records that a path comes again in its layer."""
        self._tree = tree
        self._sink = sink
        self._corrections = corrections
        self._repeat = repeat
        # Targets not seen yet, and the links waiting for them with their layers: an entry after a
        # link in the same layer is not its target.
        self.waiting: dict[bytes, list[tuple[int, bytes]]] = {}
        # Links not added yet: they wait, or their content came before them.
        self._unlinked: set[bytes] = set()
        # Links to waiting links.
        self._followers: dict[bytes, list[bytes]] = {}
        self._added: set[bytes] = set()
        # Directories of targets that links wait for, or have waited for.
        self._sought: set[bytes] = set()
        # Of the current layer:
        self._layer = 0
        self._hidden_names: set[bytes] = set()
        # Hidden symbolic links, and where they lead.
        self._hidden_symlinks: dict[bytes, bytes] = {}
        # The detours that symbolic links of the layer made necessary.
        self._new_detours: dict[bytes, list[LayerPath]] = {}
        # Hidden names that gave links their content.
        self._hidden_links: set[bytes] = set()

    def begin_layer(self, layer: int) -> None:
        """Move to the next layer."""
        self._layer = layer
        self._hidden_names = set()
        self._hidden_symlinks = {}
        self._new_detours = {}
        self._hidden_links = set()

    def add_visible(self, name: bytes, reader: TarReader) -> None:
        """Add a link whose own path is visible."""
        waiting = self._take_waiting(name)
        added = name in self._added
        if added and name not in self._unlinked:
            self._link_all(waiting, name, reader)
        else:
            self._followers.setdefault(name, []).extend(waiting)
        if not added:
            self._hard_link(name, self._target(name, reader), reader)

    def _target(self, name: bytes, reader: TarReader) -> bytes:
        """Return the path of a hard link's target."""
        target = normalize_entry_name(reader.link)
        if not target or target == reader.name:
            raise MalformedTarError("it is a hard link to itself")
        directory, base = split_path(target)
        if directory and directory == split_path(reader.name)[0]:
            directory = split_path(name)[0]
        elif directory:
            directory = follow_links(directory, self._leads_to)
        target = directory + b"/" + base if directory else base
        if target == name:
            raise MalformedTarError("it is a hard link to itself")
        return target

    def _leads_to(self, path: bytes) -> bytes | None:
        """Return where a path led when the current link was made, if it was a symbolic link."""
        layer, target = self._corrections.moved.get(path, (0, b""))
        own = self._tree.kind(path) == self._layer * LAYER_STEP + SYMLINKED
        if layer > self._layer or (own and layer == self._layer):
            return target
        if own:
            self._corrections.traversed.setdefault(self._layer, set()).add(path)
            return None
        hidden = self._hidden_symlinks.get(path)
        return self._corrections.detours.get((self._layer, path)) if hidden is None else hidden

    def pass_symlink(self, name: bytes, link: bytes) -> None:
        """Record that targets of waiting links lie below a symbolic link of a lower layer."""
        if name not in self._sought:
            return
        for target, links in self.waiting.items():
            if target.startswith(name + b"/"):
                for layer, waiting in links:
                    if layer < self._layer and waiting in self._unlinked:
                        self._corrections.detours[layer, name] = symlink_target(name, link)
                        self._new_detours.setdefault(name, []).append((layer, name))

    def _hard_link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Add a link to the sink, or let it wait for its target."""
        directory, base = split_path(target)
        state = self._tree.names.get(directory, {}).get(base)
        in_this_layer = state is not None and state // LAYER_STEP == self._layer
        if in_this_layer and state is not None and state % LAYER_STEP in (OTHER, SYMLINKED):
            if target in self._unlinked:
                self._unlinked.add(name)
                self._followers.setdefault(target, []).append(name)
            else:
                self._link_all([name], target, reader)
        elif in_this_layer and state is not None and state % LAYER_STEP == DIR:
            raise MalformedTarError(
                f"it is a hard link to {display_path(target)}, which is a directory"
            )
        elif target in self._hidden_names:
            links = self._corrections.rescued.setdefault((self._layer, target), [])
            if name not in links:
                links.append(name)
            self._unlinked.add(name)
        else:
            self._wait(target, name)

    def _wait(self, target: bytes, link: bytes) -> None:
        self._unlinked.add(link)
        self.waiting.setdefault(target, []).append((self._layer, link))
        directory = split_path(target)[0]
        while directory and directory not in self._sought:
            self._sought.add(directory)
            directory = split_path(directory)[0]

    def _take_waiting(self, target: bytes) -> list[bytes]:
        """Return the links of upper layers that wait for a target, and stop waiting."""
        links = self.waiting.pop(target, [])
        later = [(layer, link) for layer, link in links if layer >= self._layer]
        if later:
            self.waiting[target] = later
        # Hidden content may have come before the target.
        return [link for layer, link in links if layer < self._layer and link in self._unlinked]

    def unresolved(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the links that never got their content, with their targets."""
        for target, links in self.waiting.items():
            for _, link in links:
                if link in self._unlinked:
                    yield link, target
        for target, followers in self._followers.items():
            for link in followers:
                if link in self._unlinked:
                    yield link, target

    def target_added(self, name: bytes, reader: TarReader) -> None:
        """Add the links that waited for a name, and those that waited for them."""
        if self.waiting:
            self._link_all(self._take_waiting(name), name, reader)

    def _link_all(self, links: Sequence[bytes], target: bytes, reader: TarReader) -> None:
        for link in links:
            self._unlinked.discard(link)
            self._sink.link(link, target, reader)
            self._link_all(self._followers.pop(link, ()), link, reader)

    def add_hidden(self, name: bytes, reader: TarReader) -> None:
        """Process a hidden entry: links may need its content."""
        kind = reader.kind
        if kind != SYMLINK:
            # It replaces a symbolic link of the same layer.
            self._hidden_symlinks.pop(name, None)
            for key in self._new_detours.pop(name, ()):
                self._corrections.detours.pop(key, None)
        if kind == DIRECTORY:
            return
        links = self._corrections.rescued.get((self._layer, name), [])
        # A link that waits again needs the content of the hidden target's own target.
        fresh = [link for link in links if link not in self._added or link in self._unlinked]
        self._added.update(fresh)
        waiting = self._take_waiting(name)
        if name in self._hidden_links:
            self._repeat(name)
        elif waiting or links:
            self._hidden_links.add(name)
        self._hidden_names.add(name)
        if kind == SYMLINK:
            self._hidden_symlinks[name] = symlink_target(name, reader.link)
        if kind == HARD_LINK:
            target = self._target(name, reader)
            for link in waiting:
                self._hard_link(link, target, reader)
            for link in fresh:
                self._hard_link(link, target, reader)
            return
        first, *others = [*waiting, *fresh] or [b""]
        if first:
            self._unlinked.discard(first)
            self._sink.add(first, reader)
            self._link_all(others, first, reader)
            self._link_all(self._followers.pop(first, ()), first, reader)
