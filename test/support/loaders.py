"""What stands in for the image of boot loaders: enough of each for a disk or CD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.archives import E, image
from support.programs import ARM64, kernel, program

if TYPE_CHECKING:
    from assembler.oci.store import Store

BOOTLOADERS = "made/loaders:1"
KERNEL = "made/bootable:1"


def installer() -> bytes:
    """Return something like syslinux's installer: what is looked for, and room around it."""
    patch = (0x3EB202FE).to_bytes(4, "little") + bytes(16) + (2).to_bytes(2, "little")
    loader = bytearray(b"\r\nSYSLINUX 6.04 \0\r\n\x1a".ljust(24, b"\0") + patch)
    loader += (64).to_bytes(2, "little")
    loader = loader.ljust(64, b"\0")
    pointers = (96, 112, 16, 0, 0, 128, 64, 0x100, 0x104, 0)
    loader += b"".join(n.to_bytes(2, "little") for n in pointers)
    loader = loader.ljust(0x10000, b"\x90")
    sector = b"\xeb\x58\x90SYSLINUX".ljust(510, b"\x11") + b"\x55\xaa"
    return b"\x7fELF program" + sector + bytes(loader) + b"\x7fELF\x01\x01\x01" + bytes(900)


def loader_files() -> list[E]:
    """Return the files of the image."""
    files = [E("usr/bin/syslinux", installer())]
    for name, machine in (("x64", {}), ("aa64", {"machine": ARM64})):
        folder = "usr/lib/systemd/boot/efi"
        files.append(E(f"{folder}/linux{name}.efi.stub", program(**machine)))
        files.append(E(f"{folder}/systemd-boot{name}.efi", program(b"loader", **machine)))
    files += [
        E("usr/lib/ISOLINUX/isolinux.bin", bytes(range(256)) * 152),
        E("usr/lib/ISOLINUX/isohdpfx.bin", b"\xfa" * 432),
        E("usr/lib/syslinux/mbr/mbr.bin", b"\xfb" * 440),
        E("usr/lib/syslinux/mbr/gptmbr.bin", b"\xfc" * 440),
        E("usr/lib/syslinux/modules/bios/ldlinux.c32", b"module" * 9000),
    ]
    return files


def add_loaders(store: Store, architecture: str = "amd64") -> None:
    """Add the image, and a kernel that goes with it."""
    image(store, BOOTLOADERS, tuple(loader_files()), architecture=architecture)
    made = kernel(machine=ARM64) if architecture == "arm64" else kernel()
    image(store, KERNEL, (E("kernel", made),), architecture=architecture)
