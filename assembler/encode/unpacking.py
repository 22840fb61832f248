"""Whether the kernel can unpack an initrd, as far as its image says how it is configured."""

from __future__ import annotations

import re

from assembler.codes import output as codes
from assembler.encode.compression import CODECS, Compression
from assembler.errors import OutputError
from assembler.rootfs.plan import Boot, Member

# Where kernel images carry the kernel's configuration, if they do.
_NAMES = ("kernel_config", "config")
LARGEST_CONFIG = 4 << 20


def configurations(boot: Boot | None) -> list[Member]:
    """Return the files that may say how the kernel is configured; they need not be there."""
    if boot is None:
        return []
    kernel = boot.kernel
    return [Member(kernel.image, name, False, "configuration", kernel.place) for name in _NAMES]


def settings_of(config: bytes) -> dict[str, bytes]:
    """Return what a kernel's configuration sets."""
    found = re.finditer(rb"^(CONFIG_\w+)=(.*?)\r?$", config, re.MULTILINE)
    return {m[1].decode(): m[2] for m in found}


def check(config: bytes, member: Member, compression: Compression) -> None:
    """Refuse a compression that a kernel of this configuration cannot unpack."""
    said = settings_of(config)
    option = CODECS[compression.codec].kernel_option
    if not said or said.get(option) == b"y":
        return
    can = [c.name for c in CODECS.values() if said.get(c.kernel_option) == b"y"]
    raise OutputError.of(
        codes.CANNOT_UNPACK,
        f"the kernel of {member.image.reference} cannot unpack {compression.codec}: "
        f"{option} is not set in {member.name}",
        f"`--compression {can[0]}` is one that it can" if can else "`--compression none` always is",
        place=member.place,
    )
