"""Systems for UEFI: the unified kernel image, and disks with it.

Kernel, initrd and command line are one program, so that one signature covers all of them.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.content import Content, content_digest, content_size, read_content, slice_content
from assembler.errors import OutputError
from assembler.formats.systems import EFI_NAMES, EfiSystem
from assembler.media import (
    ESP_TYPE,
    GPT_ALIGNMENT,
    GPT_SECTOR,
    MAX_FAT_SIZE,
    MAX_PE_HEADERS,
    GptDisk,
    GptPartition,
    add_pe_sections,
    extend_register,
    gpt_partition_capacity,
    is_pe,
    kernel_boot_digests,
    parse_pe_headers,
    seed_of,
)

if TYPE_CHECKING:
    from assembler.encode import Assembly
    from assembler.formats.protocol import FormatOptions
    from assembler.media import PcrSigner, SparseImage

ARCHITECTURES = frozenset(EFI_NAMES)
_OS_RELEASE = b'ID=linux\nNAME=Linux\nPRETTY_NAME="Linux"\n'
_MAX_VERSION = 256


def efi_system(assembly: Assembly, options: FormatOptions) -> EfiSystem:
    """Return the system as one program; it is made once for all formats of a run."""
    cache = options.cache
    if cache.efi_system is None:
        program = unified_kernel_image(assembly, options)
        seed = seed_of((str(extent.offset), extent.content) for extent in program.extents())
        cache.efi_system = EfiSystem(assembly.plan.architecture, program, seed)
    return cache.efi_system


def unified_kernel_image(assembly: Assembly, options: FormatOptions) -> SparseImage:
    """Return kernel, initrd and command line as one program, signed if there is a signer."""
    architecture = assembly.plan.architecture
    kernel = required_kernel(assembly)
    check_efi_kernel(kernel, architecture)
    stub = options.boot_files.read(f"systemd/linux{EFI_NAMES[architecture]}.efi.stub")
    sections: list[tuple[str, Content]] = [
        (".osrel", _OS_RELEASE),
        (".cmdline", assembly.cmdline.encode()),
        (".uname", kernel_version(kernel).encode()),
        (".initrd", assembly.initrd()),
        (".linux", kernel),
    ]
    if options.pcr_signer is not None:
        sections = with_policy(stub, sections, options.pcr_signer)
    program = add_pe_sections(stub, sections)
    if options.signer is None:
        return program
    from assembler.media import sign_program  # noqa: PLC0415 - not every build signs

    return sign_program(program, options.signer)


def with_policy(
    stub: bytes, sections: list[tuple[str, Content]], signer: PcrSigner
) -> list[tuple[str, Content]]:
    """Return the sections with a signed policy of the PCR 11 that they make (.pcrpkey, .pcrsig)."""
    sections = [*sections, (".pcrpkey", signer.public_pem())]
    digests = {name: content_digest(content) for name, content in sections if content_size(content)}
    for section in parse_pe_headers(stub[:MAX_PE_HEADERS], "the stub").sections:
        content = stub[section.offset : section.offset + section.size]
        digests.setdefault(section.name, hashlib.sha256(content).digest())
    value = extend_register(digest for _, digest in kernel_boot_digests(digests))
    return [*sections, (".pcrsig", signer.signature_json(value))]


def required_kernel(assembly: Assembly) -> Content:
    """Return the kernel of a format that declares `needs_kernel`."""
    kernel = assembly.kernel()
    if kernel is None:
        raise ValueError("the format does not declare that it needs a kernel")
    return kernel.content


def check_efi_kernel(kernel: Content, architecture: str) -> None:
    """Refuse a kernel that UEFI cannot start."""
    head = read_content(slice_content(kernel, 0, MAX_PE_HEADERS))
    if not is_pe(head):
        packed = magics.compression_of(head)
        raise OutputError.of(
            codes.BAD_PROGRAM,
            f"UEFI cannot start the kernel: it is compressed with {packed} as a whole"
            if packed
            else "UEFI cannot start the kernel: it has no EFI stub",
            "add --decompress-kernel"
            if packed
            else "take a kernel with CONFIG_EFI_STUB, or a format for BIOS",
        )
    found = parse_pe_headers(head, "the kernel").architecture
    if found != architecture:
        raise OutputError.of(
            codes.BAD_PROGRAM, f"the kernel is for {found}, and the system for {architecture}"
        )


def kernel_version(kernel: Content) -> str:
    """Return the version in the header of a bzImage, or an empty text."""
    head = read_content(slice_content(kernel, 0, 0x210))
    if not magics.is_bzimage(head):
        return ""
    (place,) = struct.unpack_from("<H", head, 0x20E)
    text = read_content(slice_content(kernel, place + 0x200, _MAX_VERSION)).split(b"\0")[0]
    words = text.decode("ascii", "replace").split()
    return words[0] if place and words else ""


def efi_disk(system: EfiSystem, size: int | None) -> GptDisk:
    """Return a disk with the system, as small as possible if no size is given."""
    hidden = GPT_ALIGNMENT // GPT_SECTOR
    smallest = system.volume(hidden_sectors=hidden)
    needed = -(-smallest.size // GPT_ALIGNMENT) * GPT_ALIGNMENT
    room = needed if size is None else min(gpt_partition_capacity(size), MAX_FAT_SIZE)
    if room < needed:
        raise disk_too_small(size or 0, needed + 2 * GPT_ALIGNMENT)
    volume = system.volume(size=room, hidden_sectors=hidden)
    return GptDisk.plan([GptPartition(ESP_TYPE, "EFI system", volume)], seed=system.seed, size=size)


def disk_too_small(size: int, needed: int) -> OutputError:
    """Return the error for a disk that is too small, with a size that suffices."""
    mebibytes = -(-needed // (1 << 20))
    return OutputError.of(
        codes.TOO_SMALL,
        f"the system does not fit on a disk of {size >> 20} MiB",
        f"--size {mebibytes}M is enough",
    )


def size_of_payload(assembly: Assembly) -> int:
    """Return the size of kernel and initrd together."""
    return content_size(required_kernel(assembly)) + assembly.initrd().size
