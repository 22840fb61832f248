"""The kernel without the program that unpacks it, for monitors and loaders that take no other.

That is a vmlinux (ELF) on amd64, and an Image on arm64. It is unpacked once for all formats.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.content import FileRange, iter_chunks, read_content, slice_content
from assembler.errors import DolmenError, OutputError, wrap_os_errors
from assembler.formats.efi import required_kernel
from assembler.rootfs import decompress_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.content import Content
    from assembler.encode import Assembly
    from assembler.formats.protocol import FormatOptions

_HEAD = 64
_ELF64, _LITTLE_ENDIAN, _X86_64 = 2, 1, 62
_PT_NOTE = 4
_MAX_SEGMENTS, _MAX_NOTES = 64, 64 << 10
# The note with the entry point of PVH.
_PVH = (b"Xen\0", 18)


def plain_kernel(assembly: Assembly, options: FormatOptions) -> Content:
    """Return the kernel of an amd64 or arm64 system as vmlinux or Image."""
    cache = options.cache
    if cache.plain_kernel is None:
        kernel = required_kernel(assembly)
        architecture = assembly.plan.architecture
        if not _is_plain(kernel, architecture):
            kernel = _unpacked(kernel, assembly)
        if not _is_plain(kernel, architecture):
            name = "vmlinux (ELF)" if architecture == "amd64" else "Image"
            raise _bad_kernel(assembly, f"the kernel has no {name} for {architecture} in it")
        cache.plain_kernel = kernel
    return cache.plain_kernel


def has_pvh_entry(vmlinux: Content) -> bool:
    """Tell whether monitors can start a vmlinux by PVH."""
    return any(_PVH in _notes(segment) for segment in _note_segments(vmlinux))


def _is_plain(kernel: Content, architecture: str) -> bool:
    head = read_content(slice_content(kernel, 0, _HEAD))
    if architecture == "arm64":
        return magics.is_arm64_image(head)
    return (
        len(head) == _HEAD
        and head.startswith(magics.ELF + bytes([_ELF64, _LITTLE_ENDIAN]))
        and struct.unpack_from("<H", head, 18) == (_X86_64,)
    )


def _unpacked(kernel: Content, assembly: Assembly) -> Content:
    file = assembly.temporary_file()
    try:
        with wrap_os_errors("the directory of temporary files"):
            for piece in decompress_kernel(_Chunks(kernel), "the kernel"):
                file.write(piece)
            file.flush()
    except DolmenError as error:
        raise _bad_kernel(assembly, error.diagnostics[0].message) from error
    return FileRange(file.fileno(), file.tell())


def _bad_kernel(assembly: Assembly, message: str) -> OutputError:
    boot = assembly.plan.boot
    return OutputError.of(
        codes.BAD_KERNEL,
        message,
        "take a bzImage or a vmlinux for amd64; for arm64 an Image, compressed or not",
        place=boot.kernel.place if boot else None,
    )


class _Chunks:
    """A content as a stream."""

    def __init__(self, content: Content) -> None:
        self._chunks = iter_chunks(content)
        self._left = b""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; empty only at the end."""
        if not self._left:
            self._left = next(self._chunks, b"")
        data, self._left = self._left[:size], self._left[size:]
        return data


def _note_segments(vmlinux: Content) -> Iterator[bytes]:
    head = read_content(slice_content(vmlinux, 0, _HEAD))
    (table,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    for number in range(min(count, _MAX_SEGMENTS)):
        entry = read_content(slice_content(vmlinux, table + number * size, 56))
        if len(entry) < 56:
            return
        (kind,) = struct.unpack_from("<I", entry)
        if kind == _PT_NOTE:
            offset, length = struct.unpack_from("<Q16xQ", entry, 8)
            yield read_content(slice_content(vmlinux, offset, min(length, _MAX_NOTES)))


def _notes(segment: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield names and types."""
    at = 0
    while at + 12 <= len(segment):
        name_size, size, kind = struct.unpack_from("<III", segment, at)
        yield segment[at + 12 : at + 12 + name_size], kind
        at += 12 + name_size + -name_size % 4 + size + -size % 4
