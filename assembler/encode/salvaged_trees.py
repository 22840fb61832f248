"""Reading the trees and files of salvaged images from the tar of an earlier build."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Protocol

from assembler.codes import layers as codes
from assembler.errors import LayerError, wrap_os_errors
from assembler.oci import (
    DIRECTORY,
    HARD_LINK,
    LayerBlob,
    MalformedTarError,
    TarReader,
    normalize_tar_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.oci import Image, LayerLimits, SalvagedContent, SalvagedImage, SalvagedTree

_CHUNK = 256 << 10
_BLOCK = 512


def salvage_key(image: Image) -> dict[str, str]:
    """Return the extra parts of segment names of a salvaged image: its content."""
    return {} if image.salvaged is None else {"remains": image.salvaged.identity}


class EntrySink(Protocol):
    """A sink for the entries of a tree."""

    def add(self, name: bytes, reader: TarReader) -> None:
        """Take the reader's current entry under this name."""

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Take a hard link to an earlier entry."""


def verified_chunks(excerpt: SalvagedContent) -> Iterator[bytes]:
    """Yield the content, and verify its digest."""
    hasher, left = hashlib.sha256(), excerpt.size
    with wrap_os_errors(excerpt.path, "read"), excerpt.path.open("rb") as file:
        file.seek(excerpt.start)
        while left:
            data = file.read(min(_CHUNK, left))
            if not data:
                break
            hasher.update(data)
            left -= len(data)
            yield data
    if left or hasher.hexdigest() != excerpt.digest:
        raise MalformedTarError(f"{excerpt.path} changed while it was read")


def replay_tree(image: Image, tree: SalvagedTree, taker: EntrySink, limits: LayerLimits) -> None:
    """Pass the entries of a tree to a sink in their order."""
    prefix = tree.prefix.encode("utf-8", "surrogatepass")
    names = set[bytes]()
    reader = TarReader(verified_chunks(tree.content))
    try:
        while reader.next():
            if reader.count > limits.entries:
                raise MalformedTarError(f"it has more than {limits.entries} entries")
            name = _below(prefix, reader.name)
            if reader.kind == HARD_LINK:
                target = _below(prefix, reader.link)
                if target not in names:
                    raise MalformedTarError("it is a hard link to an entry that is not before it")
                taker.link(name, target, reader)
            else:
                taker.add(name, reader)
            if reader.kind != DIRECTORY:
                names.add(name)
    except MalformedTarError as error:
        at = f", entry {reader.name.decode('utf-8', 'backslashreplace')}" if reader.name else ""
        raise LayerError.of(
            codes.BROKEN_LAYER, f"{image.reference}, from {tree.content.path}{at}: {error}"
        ) from None


def _below(prefix: bytes, path: bytes) -> bytes:
    """Return the name below the prefix; refuse names that a build does not write."""
    name = path[len(prefix) :].removesuffix(b"/")
    if not path.startswith(prefix) or not name or normalize_tar_path(name) != name or b"\0" in name:
        raise MalformedTarError("its name is not one that a build writes there")
    return name


def root_files_layer(remains: SalvagedImage) -> LayerBlob:
    """Return the salvaged files of the image's root as a layer."""
    size = sum(f.content.size + 2 * _BLOCK for f in remains.files)
    return LayerBlob(remains.identity, size, lambda: io.BufferedReader(_Stream(_archive(remains))))


def _archive(remains: SalvagedImage) -> Iterator[bytes]:
    import tarfile  # noqa: PLC0415 - slow to load, and seldom needed

    for file in remains.files:
        head = tarfile.TarInfo(file.name)
        head.size, head.mode = file.content.size, file.mode
        yield head.tobuf(tarfile.PAX_FORMAT)
        yield from verified_chunks(file.content)
        yield bytes(-file.content.size % _BLOCK)
    yield bytes(2 * _BLOCK)


class _Stream(io.RawIOBase):
    """A file object over pieces; it can be read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
