"""Streams: initrds of one or many archives, tar archives, and both compressed."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryFile

from assembler.errors import wrap_os_errors
from assembler.inspecting.found import File, Found
from assembler.inspecting.loaders import is_wanted, look_into
from assembler.inspecting.probes import Look, Probe
from assembler.inspecting.source import BrokenError, FileSource, Source, chunks, text
from assembler.inspecting.unpacking import MOST, Unpacker, codec_of
from assembler.oci.layers import FILE, Malformed, TarReader

_MOST_LISTED = 10_000
_LONGEST_NAME = 4096
_LARGEST_TEXT = 4096
_HEADER = 110
_MAGICS = (b"070701", b"070702")
_END = b"TRAILER!!!"


class _Flow:
    """Chunks, read by so many bytes as are wanted."""

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
        """Go on by so many bytes."""
        while size > 0:
            if not self._buffer:
                piece = next(self._pieces, None)
                if piece is None:
                    raise BrokenError("it is cut short")
                self._buffer = piece
            taken = min(size, len(self._buffer))
            self._buffer = self._buffer[taken:]
            self.position += taken
            size -= taken

    def skip_zeros(self) -> bytes:
        """Skip zeros; return a few bytes of what follows, which are to be read again."""
        while True:
            self._buffer = self._buffer.lstrip(b"\0")
            if len(self._buffer) >= 6:
                break
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._buffer += piece
        return self._buffer[:6]


class _Initrd:
    """Counts what is in the archives."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self.entries = 0
        self.content = 0
        self.archives = 0
        self.codecs: list[str] = []

    def archive(self, flow: _Flow) -> None:
        """Go through archives that follow one another."""
        while flow.skip_zeros() in _MAGICS:
            self.archives += 1
            while self.entry(flow):
                pass

    def entry(self, flow: _Flow) -> bool:
        """Go through an entry; tell whether another one follows."""
        header = flow.read(_HEADER)
        if len(header) != _HEADER or header[:6] not in _MAGICS:
            raise BrokenError("an archive in it is broken or cut short")
        fields = [int(header[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        if length > _LONGEST_NAME:
            raise BrokenError("a name in it is too long")
        name = flow.read(length).rstrip(b"\0")
        flow.skip(-(_HEADER + length) % 4)
        if name == _END:
            return False
        flow.skip(size)
        flow.skip(-size % 4)
        self.entries += 1
        self.content += size
        if mode & 0o170000 == 0o100000 and len(self._found.files) < _MOST_LISTED:
            self._found.files.append(File(text(name), size))
        return True


def _initrd(source: Source, found: Found, _look: Look) -> None:
    state = _Initrd(found)
    position = 0
    try:
        while position < source.size:
            head = source.read(position, 4096)
            zeros = len(head) - len(head.lstrip(b"\0"))
            if zeros:
                position += zeros
                continue
            codec = codec_of(head)
            if codec:
                unpacker = Unpacker(source, position, codec)
                flow = _Flow(iter(unpacker))
                state.archive(flow)
                if flow.skip_zeros():
                    raise BrokenError("something else follows an archive")
                position = unpacker.end
            elif head[:6] in _MAGICS:
                position = _plain(source, position, state)
            else:
                raise BrokenError("something else follows an archive")
            state.codecs.append(codec or "none")
    finally:
        found.facts["compression"] = ", ".join(dict.fromkeys(state.codecs)) or "none"
        found.facts["archives"] = state.archives
        found.facts["entries"] = state.entries
        found.facts["content"] = state.content


def _plain(source: Source, position: int, state: _Initrd) -> int:
    """Go through one archive that is not compressed; return where it ends."""
    flow = _Flow(chunks(source, position))
    state.archives += 1
    while state.entry(flow):
        pass
    return position + flow.position


def _tar(pieces: Iterator[bytes], found: Found, look: Look) -> None:
    reader = TarReader(pieces, MOST)
    count = content = 0
    try:
        while reader.next():
            count += 1
            content += reader.size
            if reader.kind != FILE:
                continue
            name = text(reader.name)
            if len(found.files) < _MOST_LISTED:
                found.files.append(File(name, reader.size))
            if name in ("cmdline", "boot/cmdline") and reader.size <= _LARGEST_TEXT:
                found.facts["command line"] = text(bytes(reader.read(_LARGEST_TEXT)))
            elif reader.size and (is_wanted(name) or name.endswith(".raw")):
                _member(reader, name, found, look)
    except Malformed as error:
        raise BrokenError(str(error)) from error
    finally:
        found.facts["entries"] = count
        found.facts["content"] = content


def _member(reader: TarReader, name: str, found: Found, look: Look) -> None:
    """Look into a file of an archive; it is laid down for that, without its zeros."""
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
        look_into(name, FileSource(file.fileno(), reader.size), found, look)


def _compressed(source: Source, found: Found, look: Look) -> None:
    codec = codec_of(source.read(0, 16))
    start = b""
    for chunk in Unpacker(source, 0, codec):
        start += chunk
        if len(start) >= 1024:
            break
    if start[:6] in _MAGICS:
        found.kind = "initrd"
        _initrd(source, found, look)
    elif _is_tar(start, source):
        found.kind = f"tar archive, {codec}"
        _tar(iter(Unpacker(source, 0, codec)), found, look)
    else:
        found.facts["compression"] = codec
        found.facts["content"] = sum(map(len, Unpacker(source, 0, codec)))


def _is_tar(head: bytes, _source: Source) -> bool:
    return head[257:262] == b"ustar"


def _plain_tar(source: Source, found: Found, look: Look) -> None:
    _tar(chunks(source), found, look)


PROBES = (
    Probe("initrd", lambda head, _: head[:6] in _MAGICS, _initrd),
    Probe("tar archive", _is_tar, _plain_tar),
    Probe("compressed data", lambda head, _: bool(codec_of(head)), _compressed),
)
