"""The boot partition of a Raspberry Pi 3's card, as a tar archive.

Only its maker may distribute the firmware: it comes from an image that the user names.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.content import read_content, slice_content, write_content
from assembler.encode import TAR_END, PlainTarWriter
from assembler.errors import OutputError
from assembler.formats.outputs import write_stream
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.helper_images import FIRMWARE
from assembler.oci import read_image_files
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from assembler.encode import Assembly, ExtractedFile
    from assembler.formats.written_output import Output
    from assembler.helper_images import HelperImages

# Boot loader, device trees and overlays, in any folder of the image.
_FIRMWARE_FILE = re.compile(
    r"(?:.*/)?(overlays/[^/]+\.dtbo?|bootcode\.bin|(?:start|fixup)\.(?:elf|dat)"
    r"|bcm2[78]\d+-rpi-(?:3|cm3|zero-2)[^/]*\.dtb|LICEN[CS]E\.broadcom)"
)
_REQUIRED = ("bootcode.bin", "start.elf", "fixup.dat")
_CONFIG = b"""\
arm_64bit=1
enable_uart=1
kernel=kernel8.img
initramfs initrd.img followkernel
"""


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    files = _firmware_files(options.helpers)
    kernel = _required_kernel(assembly)
    initrd = assembly.initrd(ucode=False)

    def fill(out: IO[bytes]) -> None:
        tar = PlainTarWriter(out)
        boot_files = {"cmdline.txt": f"{assembly.cmdline}\n".encode(), "config.txt": _CONFIG}
        for name, content in sorted((files | boot_files).items()):
            tar.head(name, len(content))
            out.write(content)
            tar.pad(len(content))
        for name, size, source in (
            ("kernel8.img", kernel.size, kernel.content),
            ("initrd.img", initrd.size, initrd),
        ):
            tar.head(name, size)
            write_content(out, source)
            tar.pad(size)
        out.write(TAR_END)

    return [write_stream(FORMAT.name, "tar", target, SUFFIXES[FORMAT.name]["tar"], fill)]


def _required_kernel(assembly: Assembly) -> ExtractedFile:
    kernel = assembly.kernel()
    if kernel is None:
        raise ValueError("the format does not declare that it needs a kernel")
    head = read_content(slice_content(kernel.content, 0, 64))
    if not magics.is_arm64_image(head) and not head.startswith(magics.GZIP):
        boot = assembly.plan.boot
        raise OutputError.of(
            codes.BAD_KERNEL,
            "the firmware of a Raspberry Pi cannot start the kernel: it is neither an arm64 Image "
            "nor one compressed with gzip",
            "--decompress-kernel decompresses others",
            place=boot.kernel.place if boot else None,
        )
    return kernel


def _firmware_files(helpers: HelperImages | None) -> dict[str, bytes]:
    """Return the files of the firmware by their names on the card."""
    image = helpers.firmware if helpers is not None else None
    if helpers is None or image is None:
        raise OutputError.of(
            codes.NO_FIRMWARE,
            "a Raspberry Pi needs the firmware of its maker, and no image with it is named",
            f"--firmware IMAGE, with {', '.join(_REQUIRED)} and device trees (*.dtb) in any folder",
        )
    files = read_image_files(image, helpers.store, _card_name, codes.NO_FIRMWARE).files
    missing = [name for name in _REQUIRED if name not in files]
    if missing:
        raise OutputError.of(
            codes.NO_FIRMWARE,
            f"{image.reference} has no {' and no '.join(missing)}",
            "an image of Debian's package raspi-firmware has them",
        )
    return files


def _card_name(path: str) -> str | None:
    match = _FIRMWARE_FILE.fullmatch(path)
    return match[1] if match else None


FORMAT = Format(
    name="rpi3",
    write=_write,
    needs=Needs(initrd=True, boot=True, helpers=frozenset({FIRMWARE})),
    architectures=frozenset({"arm64"}),
    is_stream=True,
    needs_kernel=True,
)
