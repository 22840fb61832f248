"""The list of output formats; a format's module is imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.diagnostics import Diagnostic
from assembler.errors import UsageError

if TYPE_CHECKING:
    from assembler.formats.protocol import Format

DEFAULT = "kernel+initrd"
# Outputs that several formats write, all the same.
_SHARED_ROLES = frozenset({"kernel", "cmdline"})


@dataclass(frozen=True, slots=True)
class FormatEntry:
    """A format by name, what it is, and the module that has it, perhaps with others."""

    name: str
    description: str
    module: str


_FORMATS = (
    FormatEntry("tar", "the root filesystem as a tar archive", "tar"),
    FormatEntry("docker", "the same with a Dockerfile, as input of a docker build", "docker"),
    FormatEntry("kernel+initrd", "kernel, initrd and command line as files", "kernel_initrd"),
    FormatEntry("tar-kernel-initrd", "the same three in a tar archive", "tar_kernel_initrd"),
    FormatEntry(
        "kernel+squashfs",
        "kernel and command line, the root filesystem as squashfs",
        "filesystems:SQUASHFS",
    ),
    FormatEntry(
        "kernel+erofs",
        "kernel and command line, the root filesystem as erofs",
        "filesystems:EROFS",
    ),
    FormatEntry(
        "kernel+iso",
        "kernel and command line, the root filesystem as an ISO volume",
        "kernel_iso",
    ),
    FormatEntry("uki", "kernel, initrd and command line as one program for UEFI", "uki"),
    FormatEntry("raw-efi", "a disk that UEFI boots", "raw_efi"),
    FormatEntry("raw-bios", "a disk that a BIOS boots", "disks:RAW_BIOS"),
    FormatEntry("raw", "a disk that both a BIOS and UEFI boot", "disks:RAW"),
    FormatEntry("iso", "a CD or USB stick that both a BIOS and UEFI boot", "isos:ISO"),
    FormatEntry("iso-bios", "a CD or USB stick that a BIOS boots", "isos:ISO_BIOS"),
    FormatEntry("iso-efi", "a CD or USB stick that UEFI boots", "isos:ISO_EFI"),
    FormatEntry(
        "iso-efi-initrd", "the same with kernel and initrd as files", "isos:ISO_EFI_INITRD"
    ),
    FormatEntry("qcow2-bios", "a disk for QEMU that a BIOS boots", "disks:QCOW2_BIOS"),
    FormatEntry("qcow2-efi", "a disk for QEMU that UEFI boots", "disks:QCOW2_EFI"),
    FormatEntry("vhd", "a disk for Hyper-V, of fixed size", "disks:VHD"),
    FormatEntry("dynamic-vhd", "a disk for Hyper-V that grows", "disks:DYNAMIC_VHD"),
    FormatEntry("vmdk", "a disk for VMware and VirtualBox to import", "disks:VMDK"),
    FormatEntry("gcp", "an image for Google's cloud", "disks:GCP"),
    FormatEntry("aws", "a disk for Amazon's cloud to import", "disks:AWS"),
    FormatEntry("azure", "a disk for Azure, for machines of both generations", "disks:AZURE"),
    FormatEntry("rpi3", "the boot partition of a Raspberry Pi 3, as a tar archive", "rpi3"),
    FormatEntry("oci", "the root filesystem as an image in the store", "oci"),
)


def available_formats() -> Sequence[FormatEntry]:
    """Return all formats, in the order in which they are shown."""
    return _FORMATS


def find_format(name: str) -> Format:
    """Return a format by its name."""
    for listed in _FORMATS:
        if listed.name == name:
            name, _, attribute = listed.module.partition(":")
            module = importlib.import_module(f"assembler.formats.{name}")
            found: Format = getattr(module, attribute or "FORMAT")
            return found
    raise UsageError([_unknown_format(name)])


def _unknown_format(name: str) -> Diagnostic:
    """Say that there is no such format, and which one may do."""
    names = [f.name for f in _FORMATS]
    import difflib  # noqa: PLC0415 - only for somebody who has mistyped

    near = difflib.get_close_matches(name, names, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"the formats are {', '.join(names)}"
    return Diagnostic(codes.BAD_FORMAT, f"there is no output format {name!r}", hints=(hint,))


def select_formats(names: Iterable[str], *, to_stream: bool = False) -> list[Format]:
    """Return the formats asked for, each once; `to_stream` if they go to one chosen output.

    Nothing asked for means kernel+initrd, or tar if there is one output.
    """
    wanted = list(dict.fromkeys(n.strip() for text in names for n in text.split(",") if n.strip()))
    known = {f.name for f in _FORMATS}
    if unknown := [_unknown_format(name) for name in wanted if name not in known]:
        raise UsageError(unknown)
    formats = [find_format(name) for name in wanted or ["tar" if to_stream else DEFAULT]]
    if not to_stream:
        _check_file_names(formats)
        return formats
    several = [f for f in formats if not f.is_stream]
    if several or len(formats) > 1:
        streams = ", ".join(f.name for f in _FORMATS if find_format(f.name).is_stream)
        what = "several formats cannot go to one output"
        if several:
            alone = len(several[0].suffixes) == 1
            why = "is not written from front to back" if alone else "is more than one file"
            what = f"{several[0].name} {why}"
        raise UsageError.of(
            codes.BAD_FORMAT, what, f"only one of {streams} can be written to a chosen output"
        )
    return formats


def _check_file_names(formats: Sequence[Format]) -> None:
    """Refuse formats whose outputs have the same name; what is the same in all is no harm."""
    known: dict[str, str] = {}
    for one in formats:
        for role, suffix in one.suffixes.items():
            if role in _SHARED_ROLES:
                continue
            if suffix in known:
                raise UsageError.of(
                    codes.OUTPUT_CONFLICT,
                    f"the formats {known[suffix]} and {one.name} both write NAME{suffix}",
                    "build them one after the other, with another --name or --dir",
                )
            known[suffix] = one.name
