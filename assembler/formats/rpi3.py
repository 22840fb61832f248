"""What the boot partition of a Raspberry Pi 3's card holds, as a tar archive.

The firmware is nobody's to pass on but its maker's: it comes from an image that the user names.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING

from assembler.codes import output as codes
from assembler.content import append, part_of, whole
from assembler.encode.tar import END, PlainTar
from assembler.errors import OutputError
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.writing import write_stream
from assembler.helper_images.catalog import FIRMWARE
from assembler.oci.image_files import taken

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly
    from assembler.encode.generated import Payload
    from assembler.helper_images.images import HelperImages

SUFFIX = ".tar"
# Of everything that is called so, wherever it lies: the starters, trees of devices and overlays.
_WANTED = re.compile(
    r"(?:.*/)?(overlays/[^/]+\.dtbo?|bootcode\.bin|(?:start|fixup)\.(?:elf|dat)"
    r"|bcm2[78]\d+-rpi-(?:3|cm3|zero-2)[^/]*\.dtb|LICEN[CS]E\.broadcom)"
)
_NEEDED = ("bootcode.bin", "start.elf", "fixup.dat")
_IMAGE_MAGIC, _MAGIC_AT, _GZIP = b"ARM\x64", 56, b"\x1f\x8b"
_CONFIG = b"""\
arm_64bit=1
enable_uart=1
kernel=kernel8.img
initramfs initrd.img followkernel
"""


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    files = _firmware(options.helpers)
    kernel = _kernel(assembly)
    initrd = assembly.initrd(ucode=False)

    def fill(out: IO[bytes]) -> None:
        tar = PlainTar(out)
        made = {"cmdline.txt": f"{assembly.cmdline}\n".encode(), "config.txt": _CONFIG}
        for name, content in sorted((files | made).items()):
            tar.head(name, len(content))
            out.write(content)
            tar.pad(len(content))
        for name, size, large in (
            ("kernel8.img", kernel.size, kernel.content),
            ("initrd.img", initrd.size, initrd),
        ):
            tar.head(name, size)
            append(out, large)
            tar.pad(size)
        out.write(END)

    return [write_stream(FORMAT.name, "tar", target, SUFFIX, fill)]


def _kernel(assembly: Assembly) -> Payload:
    kernel = assembly.kernel()
    if kernel is None:
        raise ValueError("the format does not say that it needs a kernel")
    head = whole(part_of(kernel.content, 0, _MAGIC_AT + 4))
    if head[_MAGIC_AT:] != _IMAGE_MAGIC and not head.startswith(_GZIP):
        boot = assembly.plan.boot
        raise OutputError.of(
            codes.BAD_KERNEL,
            "the firmware of a Raspberry Pi starts no such kernel: it is no arm64 Image, nor one "
            "compressed by gzip",
            "--decompress-kernel unpacks others",
            place=boot.kernel.place if boot else None,
        )
    return kernel


def _firmware(helpers: HelperImages | None) -> dict[str, bytes]:
    """Return the files of the firmware, by their names on the card."""
    image = helpers.firmware if helpers is not None else None
    if helpers is None or image is None:
        raise OutputError.of(
            codes.NO_FIRMWARE,
            "a Raspberry Pi needs firmware of its maker, and no image with it is named",
            f"--firmware IMAGE, with {', '.join(_NEEDED)} and trees of devices (*.dtb) anywhere",
        )
    files = taken(image, helpers.store, _known_as, codes.NO_FIRMWARE).files
    missing = [name for name in _NEEDED if name not in files]
    if missing:
        raise OutputError.of(
            codes.NO_FIRMWARE,
            f"{image.reference} has no {' and no '.join(missing)}",
            "an image of Debian's package raspi-firmware has them",
        )
    return files


def _known_as(path: str) -> str | None:
    found = _WANTED.fullmatch(path)
    return found[1] if found else None


FORMAT = Format(
    name="rpi3",
    description="the boot partition of a Raspberry Pi 3, as a tar archive",
    suffixes={"tar": SUFFIX},
    write=_write,
    needs=Needs(initrd=True, boot=True, helpers=frozenset({FIRMWARE})),
    architectures=frozenset({"arm64"}),
    is_stream=True,
    needs_kernel=True,
)
