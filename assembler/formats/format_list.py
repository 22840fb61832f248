"""The list of output formats; the module of a format is imported when it is selected."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.diagnostics import Diagnostic
from assembler.errors import UsageError
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from assembler.formats.protocol import Format

DEFAULT = "kernel+initrd"
# The default of a system with `verified` in its YAML.
VERIFIED = "verified"
# Outputs that are the same in all formats that write them.
_SHARED_ROLES = frozenset({"kernel", "initrd", "cmdline"})


@dataclass(frozen=True, slots=True)
class FormatEntry:
    """A format in the list: its name, a description, and where its `Format` is defined."""

    name: str
    description: str
    # MODULE, with a `FORMAT`, or MODULE:ATTRIBUTE.
    location: str

    @property
    def suffixes(self) -> Mapping[str, str]:
        """Return what NAME is followed by in the names of its outputs, by their roles."""
        return SUFFIXES[self.name]


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
    FormatEntry(
        "verified", "a disk for UEFI with a verified root and two slots, and its update", "verified"
    ),
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
    FormatEntry("eif", "an image for AWS Nitro Enclaves", "eif"),
    FormatEntry("microvm", "files for Firecracker and Cloud Hypervisor", "microvm"),
    FormatEntry("oci", "the root filesystem as an image in the store", "oci"),
)


def available_formats() -> Sequence[FormatEntry]:
    """Return all formats, in the order in which they are shown."""
    return _FORMATS


def find_format(name: str) -> Format:
    """Return a format by its name."""
    for entry in _FORMATS:
        if entry.name == name:
            module, _, attribute = entry.location.partition(":")
            found: Format = getattr(
                importlib.import_module(f"assembler.formats.{module}"), attribute or "FORMAT"
            )
            return found
    raise UsageError([_unknown_format(name)])


def select_formats(names: Iterable[str], *, to_stream: bool = False) -> list[Format]:
    """Return the formats by their names, each once; `to_stream` if there is a single output.

    No names mean kernel+initrd, or tar for a single output.
    """
    unique = list(dict.fromkeys(n.strip() for text in names for n in text.split(",") if n.strip()))
    known = {entry.name for entry in _FORMATS}
    if unknown := [_unknown_format(name) for name in unique if name not in known]:
        raise UsageError(unknown)
    formats = [find_format(name) for name in unique or ["tar" if to_stream else DEFAULT]]
    if to_stream:
        _check_single_stream(formats)
    else:
        _check_file_names(formats)
    return formats


def _unknown_format(name: str) -> Diagnostic:
    """Return the diagnostic for an unknown format, with the name that was probably meant."""
    from assembler.spelling import did_you_mean  # noqa: PLC0415 - only for a misspelt name

    names = [entry.name for entry in _FORMATS]
    hint = did_you_mean(name, names, 3) or f"the formats are {', '.join(names)}"
    return Diagnostic(codes.BAD_FORMAT, f"there is no output format {name!r}", hints=(hint,))


def _check_single_stream(formats: Sequence[Format]) -> None:
    """Refuse formats that cannot be written to a single file or stream."""
    not_streams = [f for f in formats if not f.is_stream]
    if not not_streams and len(formats) == 1:
        return
    streams = ", ".join(entry.name for entry in _FORMATS if find_format(entry.name).is_stream)
    message = "several formats cannot go to one output"
    if not_streams:
        first = not_streams[0].name
        is_one_file = len(SUFFIXES[first]) == 1
        why = "is not written from front to back" if is_one_file else "is more than one file"
        message = f"{first} {why}"
    raise UsageError.of(
        codes.BAD_FORMAT, message, f"only one of {streams} can be written to a chosen output"
    )


def _check_file_names(formats: Sequence[Format]) -> None:
    """Refuse formats that write different files of the same name."""
    writers: dict[str, str] = {}
    for one in formats:
        for role, suffix in SUFFIXES[one.name].items():
            if role in _SHARED_ROLES:
                continue
            if suffix in writers:
                raise UsageError.of(
                    codes.OUTPUT_CONFLICT,
                    f"the formats {writers[suffix]} and {one.name} both write NAME{suffix}",
                    "build them one after the other, with another --name or --dir",
                )
            writers[suffix] = one.name
