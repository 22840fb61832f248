"""What the boot partition of a Raspberry Pi 3's card holds, as a tar archive.

The firmware is nobody's to pass on but its maker's: it comes from an image that the user names.
"""

from __future__ import annotations

import re
from functools import partial
from typing import IO, TYPE_CHECKING

from assembler.codes import output as codes
from assembler.encode.tar import END, PlainTar
from assembler.errors import OutputError
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.writing import write_stream
from assembler.oci.layers import FILE, Layer, flatten
from assembler.stretches import append, part_of, whole

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly
    from assembler.encode.fresh import Payload
    from assembler.oci.image import Image
    from assembler.oci.layers import TarReader
    from assembler.oci.store import Store

SUFFIX = ".tar"
# Of everything that is called so, wherever it lies: the starters, trees of devices and overlays.
_WANTED = re.compile(
    r"(?:.*/)?(overlays/[^/]+\.dtbo?|bootcode\.bin|(?:start|fixup)\.(?:elf|dat)"
    r"|bcm2[78]\d+-rpi-(?:3|cm3|zero-2)[^/]*\.dtb|LICEN[CS]E\.broadcom)"
)
_NEEDED = ("bootcode.bin", "start.elf", "fixup.dat")
_LARGEST, _MOST = 16 << 20, 64 << 20
_IMAGE_MAGIC, _MAGIC_AT, _GZIP = b"ARM\x64", 56, b"\x1f\x8b"
_CONFIG = b"""\
arm_64bit=1
enable_uart=1
kernel=kernel8.img
initramfs initrd.img followkernel
"""


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    files = _firmware(options.firmware)
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


def _firmware(source: tuple[Image, Store] | None) -> dict[str, bytes]:
    """Return the files of the firmware, by their names on the card."""
    if source is None:
        raise OutputError.of(
            codes.NO_FIRMWARE,
            "a Raspberry Pi needs firmware of its maker, and no image with it is named",
            f"--firmware IMAGE, with {', '.join(_NEEDED)} and trees of devices (*.dtb) anywhere",
        )
    image, store = source
    what = str(image.reference)
    layers = [Layer(d.digest, d.size, partial(store.open, d, what)) for d in image.manifest.layers]
    sink = _Taker(what)
    flatten(what, layers, sink)
    missing = [name for name in _NEEDED if name not in sink.files]
    if missing:
        raise OutputError.of(
            codes.NO_FIRMWARE,
            f"{what} has no {' and no '.join(missing)}",
            "an image of Debian's package raspi-firmware has them",
        )
    return sink.files


class _Taker:
    """Takes the firmware's files."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.restart()

    def restart(self) -> None:
        self.files: dict[str, bytes] = {}
        self._taken = 0

    def add(self, name: bytes, reader: TarReader) -> None:
        found = _WANTED.fullmatch(name.decode("utf-8", "replace"))
        if reader.kind != FILE or found is None:
            return
        self._taken += reader.size
        if reader.size > _LARGEST or self._taken > _MOST:
            raise OutputError.of(codes.NO_FIRMWARE, f"{self._what}: its firmware is too large")
        self.files[found[1]] = bytes(reader.read(_LARGEST))

    def link(self, name: bytes, target: bytes, _reader: TarReader) -> None:
        found, original = (
            _WANTED.fullmatch(path.decode("utf-8", "replace")) for path in (name, target)
        )
        if found is not None and original is not None and original[1] in self.files:
            self.files[found[1]] = self.files[original[1]]


FORMAT = Format(
    name="rpi3",
    description="the boot partition of a Raspberry Pi 3, as a tar archive",
    suffixes={"tar": SUFFIX},
    write=_write,
    needs=Needs(initrd=True, boot=True, firmware=True),
    architectures=frozenset({"arm64"}),
    is_stream=True,
    needs_kernel=True,
)
