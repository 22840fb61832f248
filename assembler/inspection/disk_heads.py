"""The first bytes of a disk, whatever container it is in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from assembler.data_files import open_data_file
from assembler.errors import wrap_os_errors
from assembler.inspection.disk_containers import PROBES
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.source import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.inspection.result import Inspection
    from assembler.inspection.source import DataSource


def read_disk_head(path: Path, size: int) -> bytes:
    """Return the first bytes of the disk in a qcow2, VHD or VMDK file, or of the file itself.

    They are empty if the container is damaged or of an unknown variant.
    """
    found: list[bytes] = []

    def read(source: DataSource, _result: Inspection, _inspector: Inspector) -> None:
        found.append(source.read(0, size))

    probes = (*PROBES, Probe("disk", lambda _head, _source: True, read))
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        whole = FileSource(file.fileno(), os.fstat(file.fileno()).st_size)
        Inspector(lambda: probes).inspect(whole)
    return found[0] if found else b""
