"""Magics: the bytes by which files and their compressions are recognised.

Writers and readers of these files share this table. Offsets are those of the formats'
specifications.
"""

from __future__ import annotations

# Compressions.
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
XZ = b"\xfd7zXZ\x00"
BZIP2 = b"BZh"
# The framing of the kernel, and that of the lz4 program.
LZ4_LEGACY = b"\x02\x21\x4c\x18"
LZ4_FRAME = b"\x04\x22\x4d\x18"
LZMA = b"\x5d\x00\x00"
LZO = b"\x89LZO"

# Names of the compressions with a reliable magic.
COMPRESSIONS = {
    GZIP: "gzip",
    ZSTD: "zstd",
    XZ: "xz",
    BZIP2: "bzip2",
    LZ4_LEGACY: "lz4",
    LZ4_FRAME: "lz4 frame",
}

# Archives. A tar header has its magic at TAR_AT.
NEWC = b"070701"
NEWC_CRC = b"070702"
TAR = b"ustar"
TAR_AT = 257

# Filesystems. ISO 9660 has its magic in each volume descriptor, the first of which is sector 16.
SQUASHFS = b"hsqs"
EROFS = b"\xe2\xe1\xf5\xe0"
EROFS_AT = 1024
VERITY = b"verity\0\0"
ISO_9660 = b"CD001"
ISO_9660_AT = 16 * 2048 + 1
EL_TORITO = b"EL TORITO SPECIFICATION"

# Partition tables, and the end of each boot sector.
GPT = b"EFI PART"
BOOT_SECTOR = b"\x55\xaa"
BOOT_SECTOR_AT = 510

# Disk containers. A VHD has its magic in its last sector, a dynamic one in the first, too.
QCOW2 = b"QFI\xfb"
VMDK = b"KDMV"
VMDK_DESCRIPTOR = b"# Disk DescriptorFile"
VHD = b"conectix"
VHD_DYNAMIC = b"cxsparse"
VHDX = b"vhdxfile"

# Programs and kernels.
DOS = b"MZ"
PE = b"PE\0\0"
ELF = b"\x7fELF"
BZIMAGE = b"HdrS"
BZIMAGE_AT = 0x202
ARM64_IMAGE = b"ARM\x64"
RISCV_IMAGE = b"RSC\x05"
# Of both.
IMAGE_AT = 56
S390_IMAGE = b"S390EP"
S390_IMAGE_AT = 0x10008
# An image of AWS Nitro Enclaves.
EIF = b".eif"
# A self-extracting kernel for EFI.
ZBOOT = b"zimg"
ZBOOT_AT = 4


def compression_of(head: bytes) -> str:
    """Return the name of the compression of data that begins with `head`, or an empty string."""
    return next((name for magic, name in COMPRESSIONS.items() if head.startswith(magic)), "")


def has_magic(head: bytes, magic: bytes, at: int) -> bool:
    """Tell whether data that begins with `head` has a magic at an offset."""
    return head[at : at + len(magic)] == magic


def is_tar(head: bytes) -> bool:
    """Tell whether data that begins with `head` is a tar archive that is not compressed."""
    return has_magic(head, TAR, TAR_AT)


def is_boot_sector(head: bytes) -> bool:
    """Tell whether data that begins with `head` begins with a boot sector."""
    return has_magic(head, BOOT_SECTOR, BOOT_SECTOR_AT)


def is_bzimage(head: bytes) -> bool:
    """Tell whether data that begins with `head` is a Linux kernel for PCs."""
    return has_magic(head, BZIMAGE, BZIMAGE_AT)


def is_arm64_image(head: bytes) -> bool:
    """Tell whether data that begins with `head` is a Linux kernel for arm64."""
    return has_magic(head, ARM64_IMAGE, IMAGE_AT)


def is_riscv_image(head: bytes) -> bool:
    """Tell whether data that begins with `head` is a Linux kernel for riscv64."""
    return has_magic(head, RISCV_IMAGE, IMAGE_AT)


def is_s390_image(head: bytes) -> bool:
    """Tell whether data that begins with `head`, of 65 KiB, is a Linux kernel for s390x."""
    return has_magic(head, S390_IMAGE, S390_IMAGE_AT)


def is_zboot(head: bytes) -> bool:
    """Tell whether data that begins with `head` is a self-extracting kernel for EFI."""
    return head.startswith(DOS) and has_magic(head, ZBOOT, ZBOOT_AT)
