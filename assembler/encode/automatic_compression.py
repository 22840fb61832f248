"""The automatic compression of an initrd: by the kernel, and by the size of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.encode.compression import Compression
from assembler.encode.kernel_support import can_unpack
from assembler.encode.segment_job import ArchiveEncoding

if TYPE_CHECKING:
    from assembler.rootfs import ImageMember, ImageTree

_USUAL = Compression()
_ZSTD = Compression("zstd", 3)
# A better level costs half a second for an image of this size, once: too much for larger ones. Even
# better ones take twice as long for a hundredth of the size.
_ZSTD_SMALL = ArchiveEncoding(Compression("zstd", 6))
_SMALL_IMAGE = 16 << 20


def compression_for(kernel_config: tuple[bytes, ImageMember] | None) -> Compression:
    """Return zstd if a kernel is known to unpack it, else what every kernel unpacks."""
    return _ZSTD if kernel_config is not None and can_unpack(kernel_config[0], _ZSTD) else _USUAL


def encoding_for(part: ImageTree, encoding: ArchiveEncoding) -> ArchiveEncoding:
    """Return the encoding of a tree in such an initrd: with a better level if it is small."""
    if encoding.compression != _ZSTD:
        return encoding
    packed = sum(layer.size for layer in part.image.manifest.layers)
    return _ZSTD_SMALL if packed <= _SMALL_IMAGE else encoding
