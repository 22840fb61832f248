"""The filesystem of an image as a tar: its layers flattened, as a container sees them."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from assembler.disk_space import temporary_directory
from assembler.errors import wrap_os_errors
from assembler.oci.layers.flattening import LayerBlob, flatten_layers
from assembler.oci.layers.tar_entry_types import DIRECTORY, FILE, HARD_LINK, SYMLINK
from assembler.oci.tar_writer import TAR_END, TarHeader, tar_padding

if TYPE_CHECKING:
    from assembler.oci.image import Image
    from assembler.oci.layers.tar_reader import TarReader
    from assembler.oci.manifest import Descriptor
    from assembler.oci.store import Store

_CHUNK = 1 << 20


def write_filesystem(store: Store, image: Image, out: IO[bytes]) -> None:
    """Write the files of an image to a file or pipe."""
    what = str(image.reference)
    layers = [_layer(store, d, what) for d in image.manifest.layers]
    if out.seekable():
        _write(what, layers, out)
        return
    # Flattening may restart the tree, which a pipe cannot do.
    with wrap_os_errors(temporary_directory()), tempfile.TemporaryFile() as spool:
        _write(what, layers, spool)
        spool.seek(0)
        shutil.copyfileobj(spool, out, _CHUNK)


def _layer(store: Store, descriptor: Descriptor, what: str) -> LayerBlob:
    return LayerBlob(descriptor.digest, descriptor.size, lambda: store.open(descriptor, what))


def _write(what: str, layers: list[LayerBlob], out: IO[bytes]) -> None:
    flatten_layers(what, layers, _TarSink(out, out.tell()))
    out.write(TAR_END)


@dataclass(slots=True)
class _TarSink:
    """Writes the entries of a tree as a tar."""

    out: IO[bytes]
    start: int

    def restart(self) -> None:
        """Discard everything: the tree comes again from its beginning."""
        self.out.seek(self.start)
        self.out.truncate()

    def add(self, name: bytes, reader: TarReader) -> None:
        """Write an entry under its name."""
        size = reader.size if reader.kind == FILE else 0
        slash = b"/" if reader.kind == DIRECTORY else b""
        link = reader.link if reader.kind == SYMLINK else b""
        self.out.write(_header(name + slash, reader, reader.kind, size, link))
        if size:
            reader.write_to(self.out.write)
            self.out.write(tar_padding(size))

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Write a hard link."""
        self.out.write(_header(name, reader, HARD_LINK, 0, target))


def _header(name: bytes, reader: TarReader, kind: int, size: int, link: bytes) -> bytes:
    return TarHeader(
        name,
        bytes([kind]),
        reader.mode,
        reader.uid,
        reader.gid,
        size,
        reader.mtime,
        reader.mtime_text,
        link,
        reader.major,
        reader.minor,
        reader.records,
    ).blocks()
