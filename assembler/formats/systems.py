"""A system as firmware boots it: what formats for UEFI and for a BIOS put onto their volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.media import FatFile, FatVolume, SparseImage, image_content

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.content import Content

KERNEL, INITRD = "kernel", "initrd.img"
# What UEFI calls an architecture.
EFI_NAMES = {"amd64": "x64", "arm64": "aa64", "riscv64": "riscv64"}
EFI_LABEL = "ESP"


@dataclass(frozen=True, slots=True)
class EfiSystem:
    """A system as one program for UEFI."""

    architecture: str
    program: SparseImage
    # Serial numbers and UUIDs are derived from it; it stands for all contents.
    seed: bytes

    @property
    def boot_path(self) -> str:
        """Return the path where firmware looks for the program by itself."""
        return efi_boot_path(self.architecture)

    def volume(
        self,
        *,
        size: int | None = None,
        hidden_sectors: int = 0,
        extra: Sequence[FatFile] = (),
    ) -> FatVolume:
        """Return a FAT volume with the program where firmware looks for it."""
        files = [FatFile(self.boot_path, image_content(self.program)), *extra]
        return FatVolume.plan(
            files, size=size, label=EFI_LABEL, hidden_sectors=hidden_sectors, seed=self.seed
        )


@dataclass(frozen=True, slots=True)
class BiosSystem:
    """A system as a BIOS boots it: kernel and initrd as files, and a command line."""

    kernel: Content
    initrd: Content
    cmdline: str
    # Serial numbers and UUIDs are derived from it; it stands for all contents.
    seed: bytes

    def files(self, prefix: str = "") -> list[FatFile]:
        """Return kernel and initrd as files of a volume."""
        return [FatFile(prefix + KERNEL, self.kernel), FatFile(prefix + INITRD, self.initrd)]


def efi_boot_path(architecture: str) -> str:
    """Return the path on a volume where firmware looks for a program by itself."""
    return f"EFI/BOOT/BOOT{EFI_NAMES[architecture].upper()}.EFI"
