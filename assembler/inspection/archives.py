"""Streams: initrds of one or many archives, tar archives, and both compressed."""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from assembler import magics
from assembler.errors import wrap_os_errors
from assembler.inspection.decompression import MAX_SIZE, StreamContent, compression_of
from assembler.inspection.firewall_rules import RULES_PATH, open_ports
from assembler.inspection.loader_files import inspect_boot_file, is_boot_file
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.result import FileEntry, Inspection
from assembler.inspection.source import (
    CorruptDataError,
    DataSource,
    FileSource,
    printable_text,
    read_chunks,
)
from assembler.oci import FILE, MalformedTarError, TarReader

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_LISTED = 10_000
_MAX_NAME = 4096
_MAX_TEXT = 4096
_MAX_RULES = 1 << 20
_MAX_WANTED = 1 << 20
_NEWC_HEADER = 110
_NEWC_MAGICS = (magics.NEWC, magics.NEWC_CRC)
_TRAILER = b"TRAILER!!!"


class _ChunkStream:
    """Chunks as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""
        self.position = 0

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        while len(self._buffer) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._buffer += piece
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        self.position += len(data)
        return data

    def skip(self, size: int) -> None:
        """Skip bytes."""
        while size > 0:
            if not self._buffer:
                piece = next(self._pieces, None)
                if piece is None:
                    raise CorruptDataError("it is cut short")
                self._buffer = piece
            taken = min(size, len(self._buffer))
            self._buffer = self._buffer[taken:]
            self.position += taken
            size -= taken

    @property
    def ends(self) -> bool:
        """Tell whether nothing follows."""
        if not self._buffer:
            self._buffer = next(self._pieces, b"")
        return not self._buffer

    def skip_zeros(self) -> bytes:
        """Skip zeros; return the next bytes without consuming them."""
        while True:
            self._buffer = self._buffer.lstrip(b"\0")
            if len(self._buffer) >= 6:
                break
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._buffer += piece
        return self._buffer[:6]


class _InitrdCounter:
    """Counts archives, entries and content."""

    def __init__(self, result: Inspection, wanted: frozenset[str] = frozenset()) -> None:
        self._found = result
        self._wanted = wanted
        # The contents of the files that are wanted, by name; a later one replaces an earlier one.
        self.contents: dict[str, bytes] = {}
        self.entries = 0
        self.content = 0
        self.archives = 0
        self.codecs: list[str] = []
        # The name of the last whole entry.
        self.last = ""

    def archive(self, flow: _ChunkStream) -> None:
        """Read consecutive archives, of which the last may go on in another stream."""
        while flow.skip_zeros() in _NEWC_MAGICS:
            self.archives += 1
            while self.entry(flow) and not flow.ends:
                pass

    def entry(self, flow: _ChunkStream) -> bool:
        """Read an entry; tell whether another one follows."""
        header = flow.read(_NEWC_HEADER)
        if len(header) != _NEWC_HEADER or header[:6] not in _NEWC_MAGICS:
            raise CorruptDataError("an archive in it is corrupt or cut short")
        fields = [int(header[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        if length > _MAX_NAME:
            raise CorruptDataError("a name in it is too long")
        name = flow.read(length).rstrip(b"\0")
        flow.skip(-(_NEWC_HEADER + length) % 4)
        if name == _TRAILER:
            return False
        is_file = mode & 0o170000 == 0o100000
        if is_file and printable_text(name) == RULES_PATH and size <= _MAX_RULES:
            self._found.facts["firewall"] = open_ports(flow.read(size))
        elif is_file and printable_text(name) in self._wanted:
            if size > _MAX_WANTED:
                raise CorruptDataError(f"{printable_text(name)} in it has {size} bytes")
            self.contents[printable_text(name)] = flow.read(size)
        else:
            flow.skip(size)
        flow.skip(-size % 4)
        self.entries += 1
        self.last = printable_text(name)
        self.content += size
        if is_file and len(self._found.files) < _MAX_LISTED:
            self._found.files.append(FileEntry(printable_text(name), size))
        return True


def _inspect_initrd(source: DataSource, result: Inspection, _inspector: Inspector) -> None:
    _read_archives(source, result, _InitrdCounter(result))


def initrd_contents(source: DataSource, wanted: frozenset[str]) -> dict[str, bytes]:
    """Return the contents of small files of an initrd, by name."""
    result = Inspection("initrd", source.size)
    state = _InitrdCounter(result, wanted)
    _read_archives(source, result, state)
    return state.contents


def _read_archives(source: DataSource, result: Inspection, state: _InitrdCounter) -> None:
    position = 0
    try:
        while position < source.size:
            head = source.read(position, 4096)
            zeros = len(head) - len(head.lstrip(b"\0"))
            if zeros:
                position += zeros
                continue
            codec = compression_of(head)
            if codec or head[:6] in _NEWC_MAGICS:
                state.codecs.append(codec or "none")
            if codec:
                unpacker = StreamContent(source, position, codec)
                flow = _ChunkStream(iter(unpacker))
                state.archive(flow)
                if flow.skip_zeros():
                    raise CorruptDataError("something else follows an archive")
                position = unpacker.end
            elif head[:6] in _NEWC_MAGICS:
                position = _read_plain_archive(source, position, state)
            else:
                raise CorruptDataError("something else follows an archive")
    except CorruptDataError as error:
        after = f", after {state.last!r}" if state.last else ""
        raise CorruptDataError(
            f"{error}: the archive at byte {position} of {source.size}{after}"
        ) from error
    finally:
        result.facts["compression"] = ", ".join(dict.fromkeys(state.codecs)) or "none"
        result.facts["archives"] = state.archives
        result.facts["entries"] = state.entries
        result.facts["content"] = state.content


def _read_plain_archive(source: DataSource, position: int, state: _InitrdCounter) -> int:
    """Read an uncompressed archive; return its end."""
    flow = _ChunkStream(read_chunks(source, position))
    state.archives += 1
    while state.entry(flow):
        pass
    return position + flow.position


def _inspect_tar_chunks(pieces: Iterator[bytes], result: Inspection, inspector: Inspector) -> None:
    reader = TarReader(pieces, MAX_SIZE)
    count = content = 0
    try:
        while reader.next():
            count += 1
            content += reader.size
            if reader.kind != FILE:
                continue
            name = printable_text(reader.name)
            if len(result.files) < _MAX_LISTED:
                result.files.append(FileEntry(name, reader.size))
            if name in ("cmdline", "boot/cmdline") and reader.size <= _MAX_TEXT:
                result.facts["command line"] = printable_text(bytes(reader.read(_MAX_TEXT)))
            elif name == RULES_PATH and reader.size <= _MAX_RULES:
                result.facts["firewall"] = open_ports(bytes(reader.read(reader.size)))
            elif reader.size and (is_boot_file(name) or name.endswith(".raw")):
                _inspect_member(reader, name, result, inspector)
    except MalformedTarError as error:
        raise CorruptDataError(str(error)) from error
    finally:
        result.facts["entries"] = count
        result.facts["content"] = content


def _inspect_member(reader: TarReader, name: str, result: Inspection, inspector: Inspector) -> None:
    """Inspect a file of an archive in a sparse temporary file."""
    with TemporaryFile() as file:

        def put(data: bytes | memoryview) -> None:
            if bytes(data).count(0) == len(data):
                file.seek(len(data), 1)
            else:
                file.write(data)

        with wrap_os_errors("a temporary file"):
            reader.write_to(put)
            file.truncate(reader.size)
            file.flush()
        inspect_boot_file(name, FileSource(file.fileno(), reader.size), result, inspector)


def _inspect_compressed(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    codec = compression_of(source.read(0, 16))
    start = b""
    for chunk in StreamContent(source, 0, codec):
        start += chunk
        if len(start) >= 1024:
            break
    if start[:6] in _NEWC_MAGICS:
        result.kind = "initrd"
        _inspect_initrd(source, result, inspector)
    elif _is_tar(start, source):
        result.kind = f"tar archive, {codec}"
        _inspect_tar_chunks(iter(StreamContent(source, 0, codec)), result, inspector)
    else:
        result.facts["compression"] = codec
        result.facts["content"] = sum(map(len, StreamContent(source, 0, codec)))


def _is_tar(head: bytes, _source: DataSource) -> bool:
    return magics.is_tar(head)


def _inspect_tar(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    _inspect_tar_chunks(read_chunks(source), result, inspector)


PROBES = (
    Probe("initrd", lambda head, _: head[:6] in _NEWC_MAGICS, _inspect_initrd),
    Probe("tar archive", _is_tar, _inspect_tar),
    Probe("compressed data", lambda head, _: bool(compression_of(head)), _inspect_compressed),
)
