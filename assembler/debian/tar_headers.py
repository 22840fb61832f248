"""Write tar headers: ustar, with pax records only for values that ustar cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.debian.tarball import TarEntryKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.debian.tarball import DebTarEntry

BLOCK = 512
TAR_END = bytes(2 * BLOCK)
_TYPE_FLAGS = {
    TarEntryKind.FILE: b"0",
    TarEntryKind.HARDLINK: b"1",
    TarEntryKind.SYMLINK: b"2",
    TarEntryKind.CHAR: b"3",
    TarEntryKind.BLOCK: b"4",
    TarEntryKind.DIR: b"5",
    TarEntryKind.FIFO: b"6",
}
_MAX_OCTAL = {8: 0o7777777, 12: 0o77777777777}


def tar_header(entry: DebTarEntry) -> bytes:
    """Return the header of an entry, after a pax header if ustar cannot hold a value."""
    path = (entry.path or ".") + ("/" if entry.kind is TarEntryKind.DIR else "")
    records: dict[str, str] = {}
    name = _fit_text("path", path, 100, records)
    target = _fit_text("linkpath", entry.target, 100, records)
    block = _ustar_header(
        name,
        _TYPE_FLAGS[entry.kind],
        (
            entry.mode,
            _fit_number("uid", entry.uid, 8, records),
            _fit_number("gid", entry.gid, 8, records),
            _fit_number("size", entry.size, 12, records),
            _fit_number("mtime", entry.mtime, 12, records),
        ),
        target,
        (entry.major, entry.minor),
    )
    if not records:
        return block
    data = b"".join(_pax_record(key, value) for key, value in sorted(records.items()))
    extension = _ustar_header(b"././@PaxHeader", b"x", (0o644, 0, 0, len(data), 0), b"", (0, 0))
    return extension + data + tar_padding(len(data)) + block


def tar_padding(size: int) -> bytes:
    """Return the zeros after a content of this size."""
    return bytes(-size % BLOCK)


def tar_file(entry: DebTarEntry, content: bytes) -> Iterator[bytes]:
    """Yield the header, content and padding of a file."""
    yield tar_header(entry)
    yield content
    yield tar_padding(len(content))


def _fit_text(key: str, text: str, width: int, records: dict[str, str]) -> bytes:
    data = text.encode("utf-8")
    if len(data) <= width and data.isascii():
        return data
    records[key] = text
    return data.decode("ascii", "replace").encode("ascii", "replace")[:width]


def _fit_number(key: str, value: int, width: int, records: dict[str, str]) -> int:
    if value <= _MAX_OCTAL[width]:
        return value
    records[key] = str(value)
    return 0


def _pax_record(key: str, value: str) -> bytes:
    body = f" {key}={value}\n".encode()
    size = len(body) + len(str(len(body)))
    size = len(body) + len(str(size))
    return str(size).encode() + body


def _ustar_header(
    name: bytes,
    kind: bytes,
    numbers: tuple[int, int, int, int, int],
    target: bytes,
    device: tuple[int, int],
) -> bytes:
    mode, uid, gid, size, mtime = numbers
    before_checksum = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        name.ljust(100, b"\0"),
        *(mode, uid, gid, size, mtime),
    )
    after_checksum = b"%s%sustar\x0000%s%07o\0%07o\0" % (
        kind,
        target.ljust(100, b"\0"),
        bytes(64),
        *device,
    )
    after_checksum = after_checksum.ljust(BLOCK - 156, b"\0")
    checksum = sum(before_checksum) + 8 * 0x20 + sum(after_checksum)
    return b"%s%06o\0 %s" % (before_checksum, checksum, after_checksum)
