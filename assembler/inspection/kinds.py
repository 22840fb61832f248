"""The kinds of data that Dolmen knows, in the order in which they are tried."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.data_files import open_data_file
from assembler.errors import OutputError, wrap_os_errors
from assembler.inspection.probe import Inspector
from assembler.inspection.source import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.inspection.probe import Probe
    from assembler.inspection.result import Inspection

# Modules with PROBES, imported only as far as they are tried. A kind that can carry another one in
# its first bytes comes before it: an ISO volume is a disk, too.
_MODULES = (
    *("iso", "disk_containers", "enclaves", "efi_programs", "partition_tables", "fat"),
    *("filesystems", "archives", "texts"),
)


def inspect_file(path: Path) -> Inspection:
    """Return what a file is and holds."""
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        result = new_inspector().inspect(FileSource(file.fileno(), size))
    if result is None:
        raise OutputError.of(
            codes.UNKNOWN_FILE_KIND,
            f"{path} is of no known kind" if size else f"{path} is empty",
            "known are disks and their containers, ISOs, programs for UEFI, kernels, initrds, "
            "enclave images, archives, and FAT, squashfs and erofs filesystems",
        )
    return result


def new_inspector() -> Inspector:
    """Return an inspector that knows all kinds."""
    return Inspector(_probes)


def _probes() -> Iterator[Probe]:
    for name in _MODULES:
        probes: tuple[Probe, ...] = importlib.import_module(f"assembler.inspection.{name}").PROBES
        yield from probes
