"""Inspection: what kind of file something is, and what it holds, whatever program made it.

    inspect_file(path)   a disk, an ISO, a kernel, an initrd, an archive … -> Inspection
    read_disk_head(...)  the first bytes of a disk, whatever container it is in
    check_undamaged(...) raise an error if something in it is cut short or corrupt
    check_signed_by(...) raise an error unless it is signed with the key of a certificate
    open_boot_volume(path)  the files that UEFI reads from an image -> BootVolume
    open_disk, read_gpt_entries, check_gpt_copy    the partitions of a disk with a GPT
    initrd_contents(...)    small files of an initrd
    DataSource, read_chunks, CorruptDataError    the data of such a file, and its problem
    Inspection           kind, facts, nested parts, files, and what is wrong with it
    Fact, FileEntry      a value of its facts; one of its files

A module of this package knows a family of kinds; `kinds` lists them. All content is hostile: a
corrupt file gives a problem and everything found before it, and memory stays bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.inspection.archives import initrd_contents
    from assembler.inspection.boot_volumes import BootVolume, open_boot_volume
    from assembler.inspection.disk_heads import read_disk_head
    from assembler.inspection.efi_programs import SourceImage
    from assembler.inspection.kinds import inspect_file
    from assembler.inspection.partitions import (
        GptEntry,
        check_gpt_copy,
        open_disk,
        read_gpt_entries,
    )
    from assembler.inspection.result import Fact, FileEntry, Inspection, check_undamaged
    from assembler.inspection.signature_check import check_signed_by
    from assembler.inspection.source import (
        BytesSource,
        CorruptDataError,
        DataSource,
        FileSource,
        SourceWindow,
        read_chunks,
    )

_HOMES = {
    "BootVolume": "boot_volumes",
    "BytesSource": "source",
    "CorruptDataError": "source",
    "DataSource": "source",
    "Fact": "result",
    "FileEntry": "result",
    "FileSource": "source",
    "GptEntry": "partitions",
    "Inspection": "result",
    "SourceImage": "efi_programs",
    "SourceWindow": "source",
    "check_gpt_copy": "partitions",
    "check_signed_by": "signature_check",
    "check_undamaged": "result",
    "initrd_contents": "archives",
    "inspect_file": "kinds",
    "open_boot_volume": "boot_volumes",
    "open_disk": "partitions",
    "read_chunks": "source",
    "read_disk_head": "disk_heads",
    "read_gpt_entries": "partitions",
}

__all__ = [
    "BootVolume",
    "BytesSource",
    "CorruptDataError",
    "DataSource",
    "Fact",
    "FileEntry",
    "FileSource",
    "GptEntry",
    "Inspection",
    "SourceImage",
    "SourceWindow",
    "check_gpt_copy",
    "check_signed_by",
    "check_undamaged",
    "initrd_contents",
    "inspect_file",
    "open_boot_volume",
    "open_disk",
    "read_chunks",
    "read_disk_head",
    "read_gpt_entries",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
