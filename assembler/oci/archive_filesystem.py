"""An image's files as a tar, as a container would see them: layers flattened, nothing left out."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from assembler.errors import wrap_os_errors
from assembler.oci.archive_tar import END, Header, padding
from assembler.oci.layers.flatten import Layer, flatten
from assembler.oci.layers.reader import DIRECTORY, FILE, LINK, SYMLINK

if TYPE_CHECKING:
    from assembler.oci.image import Image
    from assembler.oci.layers.reader import TarReader
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
    # The tree may have to be begun again, when links and whiteouts turn out to be intricate.
    with wrap_os_errors(tempfile.gettempdir()), tempfile.TemporaryFile() as spool:
        _write(what, layers, spool)
        spool.seek(0)
        shutil.copyfileobj(spool, out, _CHUNK)


def _layer(store: Store, descriptor: Descriptor, what: str) -> Layer:
    return Layer(descriptor.digest, descriptor.size, lambda: store.open(descriptor, what))


def _write(what: str, layers: list[Layer], out: IO[bytes]) -> None:
    flatten(what, layers, _Sink(out, out.tell()))
    out.write(END)


@dataclass(slots=True)
class _Sink:
    """Writes what comes as a tar."""

    out: IO[bytes]
    start: int

    def restart(self) -> None:
        """Forget everything: the tree comes again from its beginning."""
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
            self.out.write(padding(size))

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Write a hard link."""
        self.out.write(_header(name, reader, LINK, 0, target))


def _header(name: bytes, reader: TarReader, kind: int, size: int, link: bytes) -> bytes:
    return Header(
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
