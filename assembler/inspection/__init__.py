"""Inspection: what kind of file something is, and what it holds, whatever program made it.

    inspect_file(path)   a disk, an ISO, a kernel, an initrd, an archive … -> Inspection
    read_disk_head(...)  the first bytes of a disk, whatever container it is in
    check_undamaged(...) raise an error if something in it is cut short or corrupt
    check_signed_by(...) raise an error unless it is signed with the key of a certificate
    Inspection           kind, facts, nested parts, files, and what is wrong with it
    Fact, FileEntry      a value of its facts; one of its files

A module of this package knows a family of kinds; `kinds` lists them. All content is hostile: a
corrupt file gives a problem and everything found before it, and memory stays bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.inspection.disk_heads import read_disk_head
    from assembler.inspection.kinds import inspect_file
    from assembler.inspection.result import Fact, FileEntry, Inspection, check_undamaged
    from assembler.inspection.signature_check import check_signed_by

_HOMES = {
    "Fact": "result",
    "FileEntry": "result",
    "Inspection": "result",
    "check_signed_by": "signature_check",
    "check_undamaged": "result",
    "inspect_file": "kinds",
    "read_disk_head": "disk_heads",
}

__all__ = [
    "Fact",
    "FileEntry",
    "Inspection",
    "check_signed_by",
    "check_undamaged",
    "inspect_file",
    "read_disk_head",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
