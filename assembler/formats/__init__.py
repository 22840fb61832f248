"""Output formats: a system as files that machines boot, or that other tools take.

    available_formats()              all formats: names, descriptions, suffixes -> FormatEntry
    select_formats(names)            the formats of a run -> Format
    check_architecture(formats, …)   refuse formats that an architecture does not have
    check_signing, check_pcr_key     refuse keys that formats have no use for
    write_formats(assembly, formats, target, options)   write them -> Output
    Target, FormatOptions, Needs     where outputs go, what a user chooses, what a format uses
    file_digest(path)                the digest of an output
    MAX_ISO_ENTRIES                  how many files the root filesystem on an ISO volume may have

A format is a module of this package with a `Format`, and a line in the registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.formats.format_list import (
        VERIFIED,
        FormatEntry,
        available_formats,
        select_formats,
    )
    from assembler.formats.iso_tree import MAX_ISO_ENTRIES
    from assembler.formats.protocol import Format, FormatOptions, Needs, Target
    from assembler.formats.writer import (
        check_architecture,
        check_enclave_signing,
        check_pcr_key,
        check_signing,
        write_formats,
    )
    from assembler.formats.written_output import Output, file_digest

_HOMES = {
    "Format": "protocol",
    "FormatEntry": "format_list",
    "FormatOptions": "protocol",
    "MAX_ISO_ENTRIES": "iso_tree",
    "Needs": "protocol",
    "Output": "written_output",
    "Target": "protocol",
    "VERIFIED": "format_list",
    "available_formats": "format_list",
    "check_architecture": "writer",
    "check_enclave_signing": "writer",
    "check_pcr_key": "writer",
    "check_signing": "writer",
    "file_digest": "written_output",
    "select_formats": "format_list",
    "write_formats": "writer",
}

__all__ = [
    "MAX_ISO_ENTRIES",
    "VERIFIED",
    "Format",
    "FormatEntry",
    "FormatOptions",
    "Needs",
    "Output",
    "Target",
    "available_formats",
    "check_architecture",
    "check_enclave_signing",
    "check_pcr_key",
    "check_signing",
    "file_digest",
    "select_formats",
    "write_formats",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
