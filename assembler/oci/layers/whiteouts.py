"""Paths that upper layers hide: whiteouts, opaque directories, files instead of directories."""

from __future__ import annotations

from assembler.oci.layers.flattened_tree import (
    DIR,
    EXCLUDED,
    LAYER_STEP,
    OTHER,
    SYMLINKED,
    WHITED_OUT,
    FlattenedTree,
    display_path,
    split_path,
)
from assembler.oci.layers.tar_fields import MalformedTarError


class HiddenPaths:
    """The hidden directories of the current layer, from the top layer down."""

    def __init__(self, tree: FlattenedTree) -> None:
        """Start above the top layer, with nothing hidden."""
        self._tree = tree
        # Directories with entries (True) or only whiteouts (False) in them, perhaps without an
        # entry of their own.
        self.occupied: dict[bytes, bool] = {}
        # Directories whose content in layers below this one is hidden, other than by OTHER.
        self._closed: dict[bytes, int] = {}
        self._layer = 0
        self._known: dict[bytes, bool] = {}

    def begin_layer(self, layer: int) -> None:
        """Move to the next layer."""
        self._layer = layer
        self._known = {}

    def occupy(self, directory: bytes, *, by_entry: bool) -> None:
        """Record that a directory has content; a hidden one passes it to its parent."""
        occupied = self.occupied
        while directory and self.is_hidden(directory):
            directory = split_path(directory)[0]
        while directory and not occupied.get(directory, False):
            if not by_entry and directory in occupied:
                return
            occupied[directory] = by_entry
            directory = split_path(directory)[0]

    def close(self, name: bytes) -> None:
        """Hide everything below a path in lower layers."""
        self._closed.setdefault(name, self._layer)

    def is_hidden(self, directory: bytes) -> bool:
        """Tell whether upper layers hide the content of a directory of this layer."""
        known = self._known.get(directory)
        if known is None:
            known = self._closed.get(directory, self._layer) < self._layer
            if not known and directory:
                parent, base = split_path(directory)
                known = self.is_hidden(parent) or self._is_covered(parent, base)
            self._known[directory] = known
        return known

    def _is_covered(self, parent: bytes, base: bytes) -> bool:
        """Tell whether an upper layer has another entry instead of the directory."""
        state = self._tree.names.get(parent, {}).get(base, DIR)
        if state % LAYER_STEP in (DIR, EXCLUDED):
            return state % LAYER_STEP == EXCLUDED and 0 < state // LAYER_STEP < self._layer
        return state // LAYER_STEP < self._layer

    def expect_directories(self, directory: bytes) -> bytes:
        """Return the link of the same layer above the path; raise if it lies below a file."""
        names, link = self._tree.names, b""
        own_file = self._layer * LAYER_STEP + OTHER
        own_link = self._layer * LAYER_STEP + SYMLINKED
        while directory:
            parent, _, base = directory.rpartition(b"/")
            siblings = names.get(parent)
            if siblings is not None:
                state = siblings.get(base)
                if state == own_file:
                    raise MalformedTarError(
                        f"it lies below {display_path(directory)}, which is not a directory"
                    )
                if state == own_link:
                    link = directory
            directory = parent
        return link

    def whiteout(self, directory: bytes, base: bytes) -> None:
        """Hide the path that a whiteout names."""
        if base == b".wh..wh..opq":
            self.occupy(directory, by_entry=True)
        if self.is_hidden(directory):
            return
        if base == b".wh..wh..opq":
            self.close(directory)
            return
        if base.startswith(b".wh..wh."):
            return  # bookkeeping of aufs
        hidden = base[4:]
        if hidden in (b"", b".", b".."):
            raise MalformedTarError("it is a whiteout of nothing")
        self.occupy(directory, by_entry=False)
        siblings = self._tree.names.setdefault(directory, {})
        known = siblings.get(hidden)
        path = directory + b"/" + hidden if directory else hidden
        if known is None:
            siblings[hidden] = self._layer * LAYER_STEP + WHITED_OUT
            if self.occupied.get(path):
                # Upper layers create it again, without the old content.
                self.close(path)
        elif known % LAYER_STEP != WHITED_OUT:
            self.close(path)
            if known == EXCLUDED:
                siblings[hidden] = self._layer * LAYER_STEP + EXCLUDED
