"""What UEFI boots: a unified kernel image, and a volume that firmware finds it on.

Kernel, initrd and command line become one program, so that one signature covers all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.content import Content, part_of, size_of, whole
from assembler.errors import OutputError
from assembler.media import SparseImage, content_of, gpt, mark_of, pe
from assembler.media.fat import LARGEST, FatFile, FatVolume

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly
    from assembler.formats.protocol import FormatOptions

# What UEFI calls an architecture.
NAMES = {"amd64": "x64", "arm64": "aa64", "riscv64": "riscv64"}
ARCHITECTURES = frozenset(NAMES)
LABEL = "ESP"
_OS_RELEASE = b'ID=linux\nNAME=Linux\nPRETTY_NAME="Linux"\n'
_LONGEST_VERSION = 256
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\x02\x21\x4c\x18": "lz4",
    b"\x04\x22\x4d\x18": "lz4",
}


@dataclass(frozen=True, slots=True)
class EfiSystem:
    """A system as UEFI boots it."""

    architecture: str
    program: SparseImage
    # Stands for all of its content.
    mark: bytes

    @property
    def boot_path(self) -> str:
        """Return where firmware looks for it without being told."""
        return boot_path(self.architecture)

    def volume(
        self,
        *,
        size: int | None = None,
        hidden_sectors: int = 0,
        more: Sequence[FatFile] = (),
    ) -> FatVolume:
        """Return a FAT volume with the program where firmware looks for it."""
        files = [FatFile(self.boot_path, content_of(self.program)), *more]
        return FatVolume.plan(
            files, size=size, label=LABEL, hidden_sectors=hidden_sectors, mark=self.mark
        )


def boot_path(architecture: str) -> str:
    """Return where firmware looks for a program on a volume without being told."""
    return f"EFI/BOOT/BOOT{NAMES[architecture].upper()}.EFI"


def efi_system(assembly: Assembly, options: FormatOptions) -> EfiSystem:
    """Return the system as one program; it is made once for all formats of a run."""
    shared = options.shared
    if "efi" not in shared:
        program = unified(assembly, options)
        things = ((str(thing.offset), thing.content) for thing in program.placed())
        mark = mark_of(things)
        shared["efi"] = EfiSystem(assembly.plan.architecture, program, mark)
    found = shared["efi"]
    if not isinstance(found, EfiSystem):
        raise TypeError("something else is shared under this name")
    return found


def unified(assembly: Assembly, options: FormatOptions) -> SparseImage:
    """Return kernel, initrd and command line as a program, signed if that is asked for."""
    architecture = assembly.plan.architecture
    kernel = need_kernel(assembly)
    check_kernel(kernel, architecture)
    stub = options.boot_files.read(f"systemd/linux{NAMES[architecture]}.efi.stub")
    sections: list[tuple[str, Content]] = [
        (".osrel", _OS_RELEASE),
        (".cmdline", assembly.cmdline.encode()),
        (".uname", version_of(kernel).encode()),
        (".initrd", assembly.initrd()),
        (".linux", kernel),
    ]
    program = pe.joined(stub, sections)
    if options.signer is None:
        return program
    from assembler.media.authenticode import signed  # noqa: PLC0415 - not every build signs

    return signed(program, options.signer)


def need_kernel(assembly: Assembly) -> Content:
    """Return the kernel; formats that come here have said that they need one."""
    kernel = assembly.kernel()
    if kernel is None:
        raise ValueError("the format does not say that it needs a kernel")
    return kernel.content


def check_kernel(kernel: Content, architecture: str) -> None:
    """Refuse a kernel that firmware cannot start."""
    head = whole(part_of(kernel, 0, pe.MOST_HEADERS))
    if not pe.is_program(head):
        packed = next((name for magic, name in _COMPRESSED.items() if head.startswith(magic)), "")
        raise OutputError.of(
            codes.BAD_PROGRAM,
            f"UEFI cannot start the kernel: it is compressed with {packed} as a whole"
            if packed
            else "UEFI cannot start the kernel: it has no EFI stub",
            "add --decompress-kernel"
            if packed
            else "take a kernel with CONFIG_EFI_STUB, or a format for BIOS",
        )
    found = pe.parse(head, "the kernel").architecture
    if found != architecture:
        raise OutputError.of(
            codes.BAD_PROGRAM, f"the kernel is for {found}, and the system for {architecture}"
        )


def version_of(kernel: Content) -> str:
    """Return the version that a kernel for PCs says in its header, or nothing."""
    head = whole(part_of(kernel, 0, 0x210))
    if head[0x202:0x206] != b"HdrS":
        return ""
    (place,) = struct.unpack_from("<H", head, 0x20E)
    text = whole(part_of(kernel, place + 0x200, _LONGEST_VERSION)).split(b"\0")[0]
    words = text.decode("ascii", "replace").split()
    return words[0] if place and words else ""


def disk(system: EfiSystem, size: int | None) -> gpt.GptDisk:
    """Return a disk with the system on it, as small as it can be if no size is given."""
    hidden = gpt.ALIGNMENT // gpt.SECTOR
    smallest = system.volume(hidden_sectors=hidden)
    needed = -(-smallest.size // gpt.ALIGNMENT) * gpt.ALIGNMENT
    room = needed if size is None else min(gpt.room(size), LARGEST)
    if room < needed:
        raise too_small(size or 0, needed + 2 * gpt.ALIGNMENT)
    volume = system.volume(size=room, hidden_sectors=hidden)
    return gpt.GptDisk.plan(
        [gpt.Partition(gpt.ESP, "EFI system", volume)], mark=system.mark, size=size
    )


def too_small(size: int, needed: int) -> OutputError:
    """Say that a disk has no room for the system, and how large it should be."""
    mebibytes = -(-needed // (1 << 20))
    return OutputError.of(
        codes.TOO_SMALL,
        f"the system does not fit on a disk of {size >> 20} MiB",
        f"--size {mebibytes}M would do",
    )


def size_of_payload(assembly: Assembly) -> int:
    """Return how large kernel and initrd are together."""
    return size_of(need_kernel(assembly)) + assembly.initrd().size
