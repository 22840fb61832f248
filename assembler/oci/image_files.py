"""A few files of an image, read into memory: programs, boot loaders, firmware."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from assembler.errors import OutputError
from assembler.oci.layers import FILE, SYMLINK, LayerBlob, flatten_layers

if TYPE_CHECKING:
    from assembler.codes import Code
    from assembler.oci.image import Image
    from assembler.oci.layers import TarReader
    from assembler.oci.store import Store

_LARGEST, _MOST = 16 << 20, 64 << 20
# Returns the name under which a path is collected, or None to skip it.
FileSelector = Callable[[str], str | None]


class ImageFiles:
    """The selected files by name, and the targets of symbolic links."""

    def __init__(self, what: str, known_as: FileSelector, code: Code) -> None:
        """Start without files; an image whose files are too large is an error with this code."""
        self._what, self._known_as, self._code = what, known_as, code
        self.restart()

    def restart(self) -> None:
        """Discard all files."""
        self.files: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self._paths: dict[bytes, str] = {}
        self._taken = 0

    def add(self, name: bytes, reader: TarReader) -> None:
        """Read an entry if it is selected."""
        known = self._known_as(name.decode("utf-8", "replace"))
        if known is None:
            return
        if reader.kind == SYMLINK:
            self.links[known] = reader.link.decode("utf-8", "replace")
        elif reader.kind == FILE:
            self._taken += reader.size
            if reader.size > _LARGEST or self._taken > _MOST:
                text = name.decode("utf-8", "replace")
                raise OutputError.of(self._code, f"{self._what}: {text} is too large for its kind")
            self.files[known] = bytes(reader.read(_LARGEST))
            self._paths[name] = known

    def link(self, name: bytes, target: bytes, _reader: TarReader) -> None:
        """Add another name of a file."""
        known = self._known_as(name.decode("utf-8", "replace"))
        if known is not None and target in self._paths:
            self.files[known] = self.files[self._paths[target]]
            self._paths[name] = known


def read_image_files(image: Image, store: Store, known_as: FileSelector, code: Code) -> ImageFiles:
    """Return the selected files of an image."""
    what = str(image.reference)
    layers = [
        LayerBlob(d.digest, d.size, partial(store.open, d, what)) for d in image.manifest.layers
    ]
    found = ImageFiles(what, known_as, code)
    flatten_layers(what, layers, found)
    return found
