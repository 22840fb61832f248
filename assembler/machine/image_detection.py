"""Detect the kind of an image from its content."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import machine as codes
from assembler.data_files import open_data_file
from assembler.errors import MachineError, wrap_os_errors
from assembler.inspection import read_disk_head
from assembler.machine.description import KernelBoot
from assembler.machine.partition_types import TABLE_SIZE, verified_architecture
from assembler.suffixes import (
    CMDLINE,
    EROFS,
    EROFS_INITRD,
    INITRD,
    KERNEL,
    SQUASHFS,
    SQUASHFS_INITRD,
)

if TYPE_CHECKING:
    from pathlib import Path

_SECTOR = 2048
# The bytes that tell the architecture of a kernel: an s390x kernel has its magic at 64 KiB.
_HEAD = 0x10100
_BOOT_RECORD = 17 * _SECTOR
_MAX_CMDLINE = 64 << 10
# The machine types in the header of a PE file.
_PE_MACHINES = {0x8664: "amd64", 0xAA64: "arm64", 0x5064: "riscv64"}
_EFI_PLATFORM = 0xEF


class ImageKind(StrEnum):
    """The kinds of images that can be run."""

    KERNEL = "kernel"
    ISO = "iso"
    DISK = "disk"
    # An EFI program, such as a unified kernel image.
    EFI = "efi"


@dataclass(frozen=True, slots=True)
class BootImage:
    """An image, and its detected properties."""

    kind: ImageKind
    path: Path
    # The format of a disk: raw, qcow2.
    format: str = "raw"
    kernel: KernelBoot | None = None
    # A root filesystem beside the kernel, squashfs or erofs, which becomes a disk.
    root: Path | None = None
    # Empty if it is unknown.
    architecture: str = ""
    # Whether it boots by UEFI only.
    only_uefi: bool = False
    # Whether it is the disk of a verified system.
    verified: bool = False


def detect_image(path: Path, *, kind: ImageKind | None = None, squashfs: bool = False) -> BootImage:
    """Return the image at a path, or the kernel and initrd with a prefix.

    `kind` overrides detection; `squashfs` prefers kernel and squashfs to kernel and initrd.
    """
    if path.is_dir():
        raise _not_an_image(path, "it is a directory")
    if kind is not ImageKind.KERNEL and not squashfs and path.exists():
        return _detect_file(path, kind)
    if kind in (None, ImageKind.KERNEL):
        kernel = path.with_name(path.name + KERNEL)
        if kernel.is_file():
            return _detect_prefix(path, kernel, squashfs=squashfs)
    raise _not_an_image(path, *_prefix_hints(path))


def _detect_file(path: Path, kind: ImageKind | None) -> BootImage:
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        head = file.read(_HEAD)
        file.seek(16 * _SECTOR)
        volumes = file.read(2 * _SECTOR)
        file.seek(0, 2)
        size = file.tell()
        catalog = _boot_catalog(volumes)
        file.seek(catalog * _SECTOR)
        platforms = _el_torito_platforms(file.read(_SECTOR)) if catalog else set()
    architecture = kernel_architecture(head)
    # A hybrid ISO begins with a partition table, but is an ISO.
    if kind is ImageKind.ISO or (kind is None and volumes[1:6] == magics.ISO_9660):
        if kind is None and not catalog:
            raise _not_an_image(path, "it is an ISO without a boot loader")
        return BootImage(ImageKind.ISO, path, only_uefi=platforms == {_EFI_PLATFORM})
    if kind is None and architecture and not _has_boot_sector(head):
        if _is_efi_program(head):
            return BootImage(ImageKind.EFI, path, architecture=architecture, only_uefi=True)
        return BootImage(ImageKind.KERNEL, path, kernel=KernelBoot(path), architecture=architecture)
    container = _disk_container(head, path, size)
    if container:
        return _disk(path, read_disk_head(path, TABLE_SIZE), container)
    if kind is ImageKind.DISK or _has_boot_sector(head):
        return _disk(path, head)
    raise _not_an_image(path, _describe_unsupported(head))


def _disk(path: Path, head: bytes, form: str = "raw") -> BootImage:
    architecture = verified_architecture(head)
    return BootImage(
        ImageKind.DISK,
        path,
        form,
        architecture=architecture,
        only_uefi=_is_for_uefi(head),
        verified=bool(architecture),
    )


def _disk_container(head: bytes, path: Path, size: int) -> str:
    """Return what QEMU calls the form of a disk that is not raw, or an empty text."""
    if head.startswith(magics.QCOW2):
        return "qcow2"
    if head.startswith((magics.VMDK, magics.VMDK_DESCRIPTOR)):
        return "vmdk"
    if head.startswith(magics.VHDX):
        return "vhdx"
    return "vpc" if head.startswith(magics.VHD) or _has_vhd_footer(path, size) else ""


def _is_for_uefi(head: bytes) -> bool:
    """Tell whether a disk begins as those for UEFI only: a protective MBR without boot code."""
    return head[450:451] == b"\xee" and not any(head[:440])


def _has_boot_sector(head: bytes) -> bool:
    """Tell whether the boot sector is not that of a kernel."""
    return magics.is_boot_sector(head) and not magics.is_bzimage(head)


def _detect_prefix(path: Path, kernel: Path, *, squashfs: bool) -> BootImage:
    initrd = path.with_name(path.name + INITRD)
    # The early initrd is there if the kernel needs modules to mount the root filesystem.
    roots = {
        path.with_name(path.name + root): path.with_name(path.name + early)
        for root, early in ((SQUASHFS, SQUASHFS_INITRD), (EROFS, EROFS_INITRD))
    }
    wanted, *_ = roots
    if squashfs and not wanted.is_file():
        raise _not_an_image(path, f"{wanted.name} not found beside {kernel.name}")
    root = None
    if squashfs or not initrd.is_file():
        root = next((found for found in roots if found.is_file()), None)
    if root is None and not initrd.is_file():
        raise _not_an_image(path, f"{kernel.name} found, but not {initrd.name} beside it")
    cmdline = path.with_name(path.name + CMDLINE)
    text = ""
    if cmdline.is_file():
        with wrap_os_errors(cmdline, "read"), cmdline.open("rb") as file:
            text = file.read(_MAX_CMDLINE).decode("utf-8", "replace").strip()
    with wrap_os_errors(kernel, "read"), kernel.open("rb") as file:
        architecture = kernel_architecture(file.read(_HEAD))
    if root is not None:
        initrd = roots[root]
    boot = KernelBoot(kernel, initrd if initrd.is_file() else None, text)
    return BootImage(
        ImageKind.KERNEL,
        path,
        kernel=boot,
        root=root,
        architecture=architecture,
    )


def kernel_architecture(head: bytes) -> str:
    """Return the architecture of a kernel from its first bytes, or an empty text."""
    if magics.is_bzimage(head):
        return "amd64"
    if magics.is_arm64_image(head):
        return "arm64"
    if magics.is_riscv_image(head):
        return "riscv64"
    if magics.is_s390_image(head):
        return "s390x"
    if head.startswith(magics.DOS) and len(head) >= 64:
        at = int.from_bytes(head[60:64], "little")
        if magics.has_magic(head, magics.PE, at):
            return _PE_MACHINES.get(int.from_bytes(head[at + 4 : at + 6], "little"), "")
    return ""


def _is_efi_program(head: bytes) -> bool:
    """Tell whether it is an EFI program, and not a kernel that QEMU loads directly."""
    kernels = (magics.is_bzimage, magics.is_arm64_image, magics.is_riscv_image, magics.is_zboot)
    return head.startswith(magics.DOS) and not any(matches(head) for matches in kernels)


def _boot_catalog(volumes: bytes) -> int:
    """Return the sector of an ISO's boot catalog, or 0."""
    record = volumes[_SECTOR:]
    if record[:1] != b"\0" or record[7:30] != magics.EL_TORITO:
        return 0
    return int(struct.unpack_from("<I", record, 0x47)[0])


def _el_torito_platforms(catalog: bytes) -> set[int]:
    """Return the platforms that an ISO's boot catalog has entries for: 0 is the BIOS."""
    found = {catalog[1]} if len(catalog) > 64 else set()
    for at in range(64, len(catalog) - 32, 32):
        if catalog[at] in (0x90, 0x91):
            found.add(catalog[at + 1])
    return found


def _has_vhd_footer(path: Path, size: int) -> bool:
    if size < 512:
        return False
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        file.seek(size - 512)
        return file.read(8) == magics.VHD


def _describe_unsupported(head: bytes) -> str:
    known = (
        (
            magics.GZIP,
            "it is a gzip file; for an initrd give the prefix that it shares with the kernel",
        ),
        (magics.NEWC, "it is an initrd: give the prefix that it shares with the kernel"),
        (magics.ZSTD, "it is a zstd file: unpack it first"),
        (magics.XZ, "it is an xz file: unpack it first"),
        (magics.SQUASHFS, "it is a squashfs: give the prefix that it shares with the kernel"),
    )
    found = next((text for magic, text in known if head.startswith(magic)), "")
    if not found and magics.is_tar(head):
        found = "it is a tar: build another format, or run the YAML itself"
    return found or "it has neither a boot sector nor the signature of an ISO or a disk format"


def _prefix_hints(path: Path) -> list[str]:
    if not path.parent.is_dir():
        return [f"directory {path.parent} not found"]
    found = sorted(p.name[: -len(KERNEL)] for p in path.parent.glob(f"*{KERNEL}"))
    hints = [f"neither {path.name} nor {path.name}{KERNEL} found"]
    if found:
        hints.append(f"images in {path.parent}: {', '.join(found[:5])}")
    return hints


def _not_an_image(path: Path, *hints: str) -> MachineError:
    return MachineError.of(codes.NOT_AN_IMAGE, f"{path} is not a bootable image", *hints)
