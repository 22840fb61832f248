"""Checking that the kernel can unpack the initrd, if its image has the kernel's configuration."""

from __future__ import annotations

import re

from assembler.codes import output as codes
from assembler.encode.compression import CODECS, Compression
from assembler.errors import OutputError
from assembler.rootfs import BootSpec, ImageMember

# Names of the configuration in kernel images: of LinuxKit, of packages of Dolmen, of others.
_NAMES = ("kernel_config", "kernel-config", "config")
LARGEST_CONFIG = 4 << 20


def kernel_config_members(boot: BootSpec | None) -> list[ImageMember]:
    """Return the files that may hold the kernel's configuration; they are optional."""
    if boot is None:
        return []
    kernel = boot.kernel
    return [
        ImageMember(kernel.image, name, False, "configuration", kernel.place) for name in _NAMES
    ]


def parse_kernel_config(config: bytes) -> dict[str, bytes]:
    """Return the options that a kernel's configuration sets."""
    found = re.finditer(rb"^(CONFIG_\w+)=(.*?)\r?$", config, re.MULTILINE)
    return {m[1].decode(): m[2] for m in found}


def can_unpack(config: bytes, compression: Compression) -> bool:
    """Tell whether a kernel's configuration says that it unpacks an initrd."""
    option = CODECS[compression.codec].kernel_option
    return parse_kernel_config(config).get(option) == b"y"


def check_initrd_compression(config: bytes, member: ImageMember, compression: Compression) -> None:
    """Refuse a compression that a kernel with this configuration cannot unpack."""
    options = parse_kernel_config(config)
    option = CODECS[compression.codec].kernel_option
    if not options or options.get(option) == b"y":
        return
    can = [c.name for c in CODECS.values() if options.get(c.kernel_option) == b"y"]
    raise OutputError.of(
        codes.CANNOT_UNPACK,
        f"the kernel of {member.image.reference} cannot unpack {compression.codec}: "
        f"{option} is not set in {member.name}",
        f"use `--compression {can[0]}`" if can else "use `--compression none`",
        place=member.place,
    )
