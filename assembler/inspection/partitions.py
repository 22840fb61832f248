"""The partitions of a disk with a GPT, for those who read what is in them."""

from __future__ import annotations

import os
import struct
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from assembler.data_files import open_data_file
from assembler.errors import wrap_os_errors
from assembler.inspection.disk_containers import PROBES
from assembler.inspection.partition_tables import SECTOR, read_gpt_header
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.source import (
    CorruptDataError,
    DataSource,
    FileSource,
    SourceWindow,
    printable_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.inspection.result import Inspection

_ENTRY = 128


@dataclass(frozen=True, slots=True)
class GptEntry:
    """A partition: its entry, and its content."""

    number: int
    type: str
    uuid: str
    label: str
    start: int
    content: DataSource


@contextmanager
def open_disk(path: Path) -> Iterator[DataSource]:
    """Yield the disk in a qcow2, VHD or VMDK file, or the file itself."""
    found: list[DataSource] = []

    def take(source: DataSource, _result: Inspection, _inspector: Inspector) -> None:
        found.append(source)

    probes = (*PROBES, Probe("disk", lambda _head, _source: True, take))
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        whole = FileSource(file.fileno(), os.fstat(file.fileno()).st_size)
        Inspector(lambda: probes).inspect(whole)
        yield found[0] if found else whole


def read_gpt_entries(disk: DataSource) -> tuple[GptEntry, ...]:
    """Return the partitions of a disk; one that is not on the disk is an error."""
    _, _, entries = read_gpt_header(disk, SECTOR)
    found = []
    for number in range(len(entries) // _ENTRY):
        entry = entries[number * _ENTRY : (number + 1) * _ENTRY]
        if not any(entry[:16]):
            continue
        first, last = struct.unpack_from("<QQ", entry, 32)
        start, size = first * SECTOR, (last - first + 1) * SECTOR
        if size <= 0 or start + size > disk.size:
            raise CorruptDataError(f"partition {number + 1} is not on the disk")
        label = printable_text(entry[56:].decode("utf-16-le", "replace").encode())
        kind, own = (str(uuid.UUID(bytes_le=entry[at : at + 16])) for at in (0, 16))
        content = SourceWindow(disk, start, size)
        found.append(GptEntry(number + 1, kind, own, label, start, content))
    found.sort(key=lambda e: e.start)
    for before, after in pairwise(found):
        if before.start + before.content.size > after.start:
            raise CorruptDataError(f"partitions {before.number} and {after.number} overlap")
    return tuple(sorted(found, key=lambda e: e.number))


def check_gpt_copy(disk: DataSource) -> None:
    """Raise an error unless the copy of the table is at the end of the disk and the same."""
    other, guid, entries = read_gpt_header(disk, SECTOR)
    if (other + 1) * SECTOR != disk.size:
        raise CorruptDataError("the copy of the partition table is not at the end of the disk")
    if read_gpt_header(disk, other * SECTOR)[1:] != (guid, entries):
        raise CorruptDataError("the copy of the partition table differs")
