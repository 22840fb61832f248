"""What receives the entries of a flattened tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from assembler.oci.layers.tar_reader import TarReader


class TreeSink(Protocol):
    """Receives the entries of a tree; attributes and content come from the reader."""

    def restart(self) -> None:
        """Discard everything: the tree comes again from its beginning."""

    def add(self, name: bytes, reader: TarReader) -> None:
        """Take the reader's current entry under this name."""

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Take a hard link to a name that was added before."""
