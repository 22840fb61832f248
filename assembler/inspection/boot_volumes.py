"""The files that UEFI reads from an image: of the EFI system partition, a boot CD or a program."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.data_files import open_data_file
from assembler.errors import OutputError, wrap_os_errors
from assembler.inspection import disk_containers, fat, iso, partition_tables
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.source import FileSource, read_exactly
from assembler.media import is_pe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from assembler.inspection.result import Inspection
    from assembler.inspection.source import DataSource

PROGRAM, VOLUME, CD, DISK, MBR_DISK = "program", "volume", "cd", "disk", "mbr-disk"
_ENTRY = 128


@dataclass(frozen=True, slots=True)
class BootVolume:
    """The files for UEFI in an image, and the medium they are on."""

    # program, volume, cd, disk (with a GPT) or mbr-disk.
    medium: str
    # By their paths; of a program alone the path is empty.
    files: Mapping[str, DataSource]
    # The header of the GPT, and the entries that are used.
    partition_table: tuple[bytes, tuple[bytes, ...]] | None = None

    def find(self, path: str) -> tuple[str, DataSource] | None:
        """Return a file and its path as it is written; FAT does not distinguish case."""
        wanted = path.lower()
        return next(((p, s) for p, s in self.files.items() if p.lower() == wanted), None)

    def below(self, directory: str) -> list[str]:
        """Return the paths of the files in a directory, sorted."""
        prefix = f"{directory.lower()}/"
        return sorted(
            p for p in self.files if p.lower().startswith(prefix) and "/" not in p[len(prefix) :]
        )


@dataclass(slots=True)
class _Search:
    """What was found so far; the first volume with a boot program wins."""

    medium: str = VOLUME
    files: dict[str, DataSource] = field(default_factory=dict)
    table: tuple[bytes, tuple[bytes, ...]] | None = None

    def probes(self) -> tuple[Probe, ...]:
        """Return the probes of everything that can hold a boot volume."""
        gpt, mbr = partition_tables.PROBES
        return (
            Probe("ISO", iso.PROBES[0].matches, self._search_cd),
            *disk_containers.PROBES,
            Probe("program", lambda head, _: is_pe(head), self._take_program),
            Probe("disk", gpt.matches, self._search_gpt),
            Probe("disk", mbr.matches, self._search_mbr),
            Probe("FAT volume", fat.PROBES[0].matches, self._search_volume),
        )

    def _search_cd(self, source: DataSource, result: Inspection, inspector: Inspector) -> None:
        self.medium = CD
        iso.inspect_boot_images(source, result, inspector)

    def _search_gpt(self, source: DataSource, result: Inspection, inspector: Inspector) -> None:
        if self.medium != CD:
            self.medium = DISK
        _, _, entries = partition_tables.read_gpt_header(source, partition_tables.SECTOR)
        header = read_exactly(source, partition_tables.SECTOR, partition_tables.GPT_HEADER)
        used = [entries[at : at + _ENTRY] for at in range(0, len(entries), _ENTRY)]
        self.table = (header, tuple(entry for entry in used if any(entry[:16])))
        partition_tables.PROBES[0].inspect(source, result, inspector)

    def _search_mbr(self, source: DataSource, result: Inspection, inspector: Inspector) -> None:
        if self.medium != CD:
            self.medium = MBR_DISK
        partition_tables.PROBES[1].inspect(source, result, inspector)

    def _take_program(self, source: DataSource, _: Inspection, _inspector: Inspector) -> None:
        self.medium = PROGRAM
        self.files = {"": source}

    def _search_volume(self, source: DataSource, _: Inspection, _inspector: Inspector) -> None:
        if not self.files:
            found = fat.find_fat_files(source, _is_read_at_boot)
            if any(path.lower().endswith(".efi") for path in found):
                self.files = found


def _is_read_at_boot(path: str) -> bool:
    lower = path.lower()
    return lower.startswith(("efi/", "loader/")) or "/" not in lower


@contextmanager
def open_boot_volume(path: Path) -> Iterator[BootVolume]:
    """Open an image, and yield the files that UEFI reads from it."""
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        search = _Search()
        source = FileSource(file.fileno(), os.fstat(file.fileno()).st_size)
        inspection = Inspector(search.probes).inspect(source)
        if not search.files:
            problem = _problem(inspection)
            raise OutputError.of(
                codes.UNKNOWN_FILE_KIND,
                f"{path} has no program for UEFI" + (f": {problem}" if problem else ""),
                "known are programs for UEFI, ISOs, FAT volumes, and disks: raw, qcow2, VHD, VMDK",
            )
        yield BootVolume(search.medium, search.files, search.table)


def _problem(found: Inspection | None) -> str:
    """Return the first problem of what was searched."""
    if found is None:
        return ""
    return found.problem or next(filter(None, (_problem(part) for _, part in found.parts)), "")
