"""Systems for both a BIOS and UEFI: one volume with a boot loader for each.

Both loaders read the same kernel and initrd, which the volume holds once. Signed outputs have a
unified kernel image for UEFI besides: no signature covers an initrd that is a file of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.formats import bios, efi
from assembler.formats.systems import EFI_LABEL, EFI_NAMES, efi_boot_path
from assembler.media import (
    ESP_TYPE,
    GPT_ALIGNMENT,
    LEGACY_BOOT_FLAG,
    FatFile,
    GptDisk,
    GptPartition,
    SparseImage,
    gpt_partition_capacity,
    image_content,
)

if TYPE_CHECKING:
    from assembler.encode import Assembly
    from assembler.formats.protocol import FormatOptions

ARCHITECTURES = bios.ARCHITECTURES


def systemd_boot_files(
    assembly: Assembly, options: FormatOptions, kernel: str = "/kernel", initrd: str = "/initrd.img"
) -> list[FatFile]:
    """Return systemd-boot and a configuration that boots at once."""
    architecture = assembly.plan.architecture
    efi.check_efi_kernel(efi.required_kernel(assembly), architecture)
    program = options.boot_files.read(f"systemd/systemd-boot{EFI_NAMES[architecture]}.efi")
    entry = ["title Linux", f"linux {kernel}", f"initrd {initrd}"]
    line = " ".join(assembly.cmdline.splitlines()).strip()
    entry += [f"options {line}"] if line else []
    return [
        FatFile(efi_boot_path(architecture), program),
        FatFile("loader/loader.conf", b"timeout 0\n"),
        FatFile("loader/entries/linux.conf", "\n".join([*entry, ""]).encode()),
    ]


def efi_files(assembly: Assembly, options: FormatOptions) -> list[FatFile]:
    """Return the files for UEFI besides kernel and initrd."""
    if options.signer is None:
        return systemd_boot_files(assembly, options)
    system = efi.efi_system(assembly, options)
    return [FatFile(system.boot_path, image_content(system.program))]


def hybrid_disk(assembly: Assembly, options: FormatOptions, size: int | None) -> SparseImage:
    """Return a disk with the system, as small as possible if no size is given."""
    system = bios.bios_system(assembly, options)
    extra = efi_files(assembly, options)
    smallest = bios.bios_volume(system, options, extra=extra, label=EFI_LABEL)
    needed = -(-smallest.size // GPT_ALIGNMENT) * GPT_ALIGNMENT
    room = needed if size is None else gpt_partition_capacity(size)
    if room < needed:
        raise efi.disk_too_small(size or 0, needed + 2 * GPT_ALIGNMENT)
    volume = bios.bios_volume(system, options, size=room, extra=extra, label=EFI_LABEL)
    partition = GptPartition(ESP_TYPE, "EFI system", volume, LEGACY_BOOT_FLAG)
    code = options.boot_files.read("syslinux/gptmbr.bin")
    return GptDisk.plan([partition], seed=system.seed, size=size, boot_code=code)
