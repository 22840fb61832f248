"""ISO 9660 volumes: what boots from them, and their files."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler import magics
from assembler.inspection import partition_tables
from assembler.inspection.iso_namespaces import list_namespace
from assembler.inspection.loader_files import inspect_boot_file, is_boot_file
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.result import Fact, FileEntry, Inspection
from assembler.inspection.source import (
    CorruptDataError,
    DataSource,
    SourceWindow,
    printable_text,
    read_exactly,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECTOR = 2048
_FIRST_DESCRIPTOR = 16
_MAX_DESCRIPTORS = 64
_MAX_FILES = 10_000
_MAX_DIRECTORY = 32 << 20
_MAX_CONTINUATION = 64 << 10
_MAX_CONTINUATIONS = 16
_MAX_DEPTH = 64
_BOOT_RECORD, _PRIMARY, _SUPPLEMENTARY, _TERMINATOR = 0, 1, 2, 0xFF
# By which a supplementary descriptor says that its names are Joliet's.
_JOLIET_ESCAPES = (b"%/@", b"%/C", b"%/E")
_UDF_DESCRIPTORS = (b"NSR02", b"NSR03")
_BOOT_PLATFORMS = {0: "BIOS", 1: "PowerPC", 2: "Mac", 0xEF: "UEFI"}
_UEFI = 0xEF
_SECTION, _LAST_SECTION, _BOOTABLE = 0x90, 0x91, 0x88
_DIRECTORY, _MULTI_EXTENT = 0x02, 0x80


@dataclass(slots=True)
class _Descriptors:
    """What the volume descriptors name."""

    root: bytes = b""
    boot_catalog: int = 0
    # Further sets of names for the same files.
    joliet: bool = False
    udf: bool = False


@dataclass(slots=True)
class _Names:
    """What a walk through the directories has seen."""

    directories: set[int] = field(default_factory=set)
    rock_ridge: bool = False


def inspect_boot_images(
    source: DataSource, result: Inspection, inspector: Inspector
) -> _Descriptors:
    """Inspect what a CD boots from, and return its descriptors."""
    found = _read_descriptors(source, result)
    if found.boot_catalog:
        _inspect_boot_catalog(source, result, inspector, found.boot_catalog * _SECTOR)
    return found


def _inspect_iso(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    found = inspect_boot_images(source, result, inspector)
    _inspect_as_disk(source, result, inspector)
    if not found.root:
        return
    names = _Names()
    _list_files(source, result, inspector, found.root, names)
    if names.rock_ridge:
        result.facts["names"] = "Rock Ridge"
        return
    # UDF comes first: volumes that have it may have no more than a note in the other trees.
    namespace = "UDF" if found.udf else "Joliet" if found.joliet else ""
    result.facts["names"] = "ISO 9660"
    if namespace:
        result.files = list_namespace(source, namespace, _MAX_FILES)
        result.facts["names"] = namespace


def _read_descriptors(source: DataSource, result: Inspection) -> _Descriptors:
    found = _Descriptors()
    for number in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + _MAX_DESCRIPTORS):
        data = read_exactly(source, number * _SECTOR, _SECTOR)
        if data[1:6] != magics.ISO_9660:
            raise CorruptDataError("its list of descriptors has no end")
        if data[0] == _TERMINATOR:
            found.udf = _has_udf(source, number + 1)
            return found
        if data[0] == _PRIMARY:
            result.facts["label"] = printable_text(data[40:72])
            (blocks,) = struct.unpack_from("<I", data, 80)
            result.facts["volume size"] = blocks * _SECTOR
            found.root = data[156:190]
        elif data[0] == _SUPPLEMENTARY and data[88:91] in _JOLIET_ESCAPES:
            found.joliet = True
        elif data[0] == _BOOT_RECORD and data[7:30] == magics.EL_TORITO:
            (found.boot_catalog,) = struct.unpack_from("<I", data, 71)
    raise CorruptDataError("its list of descriptors has no end")


def _has_udf(source: DataSource, first: int) -> bool:
    """Tell whether descriptors of UDF follow those of ISO 9660."""
    names = (source.read(number * _SECTOR + 1, 5) for number in range(first, first + 8))
    return any(name in _UDF_DESCRIPTORS for name in names)


def _inspect_boot_catalog(
    source: DataSource, result: Inspection, inspector: Inspector, at: int
) -> None:
    catalog = read_exactly(source, at, _SECTOR)
    if sum(struct.unpack_from("<16H", catalog)) & 0xFFFF or catalog[30:32] != magics.BOOT_SECTOR:
        raise CorruptDataError("its boot catalog is corrupt")
    platform, place = catalog[1], 32
    while place + 32 <= len(catalog):
        entry = catalog[place : place + 32]
        if entry[0] in (_SECTION, _LAST_SECTION):
            platform = entry[1]
        elif entry[0] in (_BOOTABLE, 0):
            count, block = struct.unpack_from("<HI", entry, 6)
            if entry[0] == _BOOTABLE or block:
                _inspect_boot_image(source, result, inspector, (platform, count, block))
            elif place > 32:
                break
        else:
            break
        place += 32


def _inspect_boot_image(
    source: DataSource, result: Inspection, inspector: Inspector, entry: tuple[int, int, int]
) -> None:
    platform, count, block = entry
    name = f"boot by {_BOOT_PLATFORMS.get(platform, f'platform 0x{platform:x}')}"
    # An image for UEFI may be larger than its count of sectors can say.
    window = SourceWindow(source, block * _SECTOR, source.size)
    facts: dict[str, Fact] = {"start": block * _SECTOR, "sectors loaded": count}
    inner = inspector.inspect(window) if platform == _UEFI else None
    if inner is None:
        inner = Inspection("boot image", count * 512)
    inner.facts = facts | inner.facts
    result.parts.append((name, inner))


def _inspect_as_disk(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    """Note how the same file boots from a hard disk or a USB stick."""
    head = source.read(0, 0x9000)
    for probe in partition_tables.PROBES:
        if probe.matches(head, source):
            inner = Inspection("disk", source.size)
            # The partitions hold what is listed for the volume.
            inspector.without_contents().run(probe, source, inner)
            result.parts.append(("as a disk", inner))
            return


def _list_files(
    source: DataSource, result: Inspection, inspector: Inspector, root: bytes, names: _Names
) -> None:
    for file, at in _walk_files(source, root, "", names):
        if len(result.files) >= _MAX_FILES:
            raise CorruptDataError(f"it has more than {_MAX_FILES} files")
        result.files.append(file)
        if file.size and is_boot_file(file.path):
            inspect_boot_file(file.path, SourceWindow(source, at, file.size), result, inspector)


def _walk_files(
    source: DataSource, record: bytes, path: str, names: _Names
) -> Iterator[tuple[FileEntry, int]]:
    """Yield the files below a directory, and where their contents begin."""
    block, size = struct.unpack_from("<I4xI", record, 2)
    if block in names.directories or path.count("/") > _MAX_DEPTH:
        raise CorruptDataError("its directories contain each other")
    names.directories.add(block)
    if size > _MAX_DIRECTORY:
        raise CorruptDataError("a directory is too large")
    content = read_exactly(source, block * _SECTOR, size)
    at, earlier = 0, 0
    while at < len(content):
        length = content[at]
        if not length:
            at = (at // _SECTOR + 1) * _SECTOR
            continue
        entry = content[at : at + length]
        at += length
        if length < 34:
            raise CorruptDataError("a directory is corrupt")
        name_length = entry[32]
        raw = entry[33 : 33 + name_length]
        if raw in (b"\0", b"\1"):
            continue
        name = _rock_ridge_name(source, entry[33 + name_length + (1 - name_length % 2) :])
        names.rock_ridge = names.rock_ridge or bool(name)
        shown = printable_text(name or raw.partition(b";")[0].rstrip(b"."))
        here = f"{path}/{shown}" if path else shown
        first, part = struct.unpack_from("<I4xI", entry, 2)
        if entry[25] & _DIRECTORY:
            yield from _walk_files(source, entry, here, names)
        elif entry[25] & _MULTI_EXTENT:
            earlier += part
        else:
            yield FileEntry(here, earlier + part), (first * _SECTOR if not earlier else 0)
            earlier = 0


def _rock_ridge_name(source: DataSource, area: bytes) -> bytes:
    """Return the name that Rock Ridge gives; its continuations are followed."""
    name, left = b"", _MAX_CONTINUATIONS
    while area and left:
        left -= 1
        following = b""
        while len(area) >= 4 and area[2] >= 4:
            entry, area = area[: area[2]], area[area[2] :]
            if entry[:2] == b"NM":
                name += entry[5:]
            elif entry[:2] == b"CE" and len(entry) >= 28:
                block, offset, size = struct.unpack_from("<I4xI4xI", entry, 4)
                following = source.read(block * _SECTOR + offset, min(size, _MAX_CONTINUATION))
        area = following
    return name


PROBES = (
    Probe(
        "ISO",
        lambda _, source: source.read(magics.ISO_9660_AT, 5) == magics.ISO_9660,
        _inspect_iso,
    ),
)
