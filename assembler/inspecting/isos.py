"""ISO 9660 filesystems: what boots from them, and their files."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from assembler.inspecting.found import Fact, File, Found
from assembler.inspecting.loaders import is_wanted, look_into
from assembler.inspecting.probes import Look, Probe
from assembler.inspecting.source import BrokenError, Source, Window, exactly, text

_BLOCK = 2048
_FIRST = 16
_MOST_DESCRIPTORS = 64
_MOST_FILES = 10_000
_LARGEST_DIRECTORY = 32 << 20
_LARGEST_AREA = 64 << 10
_PLATFORMS = {0: "BIOS", 0xEF: "UEFI"}
_DEEPEST = 64
_DIRECTORY, _MORE = 0x02, 0x80


def _look(source: Source, found: Found, look: Look) -> None:
    root = b""
    for number in range(_FIRST, _FIRST + _MOST_DESCRIPTORS):
        data = exactly(source, number * _BLOCK, _BLOCK)
        if data[1:6] != b"CD001":
            raise BrokenError("its list of descriptors has no end")
        if data[0] == 0xFF:
            break
        if data[0] == 1:
            found.facts["label"] = text(data[40:72])
            (blocks,) = struct.unpack_from("<I", data, 80)
            found.facts["volume size"] = blocks * _BLOCK
            root = data[156:190]
        elif data[0] == 0 and data[7:30] == b"EL TORITO SPECIFICATION":
            (catalog,) = struct.unpack_from("<I", data, 71)
            _boot(source, found, look, catalog * _BLOCK)
    _as_disk(source, found)
    if root:
        _list(source, found, look, root)


def _boot(source: Source, found: Found, look: Look, at: int) -> None:
    catalog = exactly(source, at, _BLOCK)
    if sum(struct.unpack_from("<16H", catalog)) & 0xFFFF or catalog[30:32] != b"\x55\xaa":
        raise BrokenError("its boot catalog is broken")
    platform, place = catalog[1], 32
    while place + 32 <= len(catalog):
        entry = catalog[place : place + 32]
        if entry[0] in (0x90, 0x91):
            platform = entry[1]
        elif entry[0] in (0x88, 0):
            count, block = struct.unpack_from("<HI", entry, 6)
            if entry[0] == 0x88 or block:
                _image(source, found, look, (platform, count, block))
            elif place > 32:
                break
        else:
            break
        place += 32


def _image(source: Source, found: Found, look: Look, entry: tuple[int, int, int]) -> None:
    platform, count, block = entry
    name = f"boot by {_PLATFORMS.get(platform, f'platform 0x{platform:x}')}"
    # Images of firmware are larger than their count can say.
    window = Window(source, block * _BLOCK, source.size)
    facts: dict[str, Fact] = {"start": block * _BLOCK, "sectors loaded": count}
    inner = look.at(window) if platform == 0xEF else None
    if inner is None:
        inner = Found("boot image", count * 512)
    inner.facts = facts | inner.facts
    found.parts.append((name, inner))


def _as_disk(source: Source, found: Found) -> None:
    """Note how the same file boots from a hard disk or a USB stick."""
    from assembler.inspecting import disks  # noqa: PLC0415 - it lies beside us

    head = source.read(0, 0x9000)
    for probe in disks.PROBES:
        if probe.fits(head, source):
            inner = Found("disk", source.size)
            try:
                # The partitions hold what is listed above.
                probe.look(source, inner, Look(1 << 30))
            except (BrokenError, struct.error) as error:
                inner.problem = str(error)
            found.parts.append(("as a disk", inner))
            return


def _list(source: Source, found: Found, look: Look, root: bytes) -> None:
    seen: set[int] = set()
    for file, at in _files(source, root, "", seen):
        if len(found.files) >= _MOST_FILES:
            raise BrokenError(f"it has more than {_MOST_FILES} files")
        found.files.append(file)
        if file.size and is_wanted(file.path):
            look_into(file.path, Window(source, at, file.size), found, look)


def _files(source: Source, record: bytes, path: str, seen: set[int]) -> Iterator[tuple[File, int]]:
    block, size = struct.unpack_from("<I4xI", record, 2)
    if block in seen or path.count("/") > _DEEPEST:
        raise BrokenError("its directories lead in a circle")
    seen.add(block)
    if size > _LARGEST_DIRECTORY:
        raise BrokenError("a directory is too large")
    content = exactly(source, block * _BLOCK, size)
    at, large = 0, 0
    while at < len(content):
        length = content[at]
        if not length:
            at = (at // _BLOCK + 1) * _BLOCK
            continue
        entry = content[at : at + length]
        at += length
        if length < 34:
            raise BrokenError("a directory is broken")
        name_length = entry[32]
        raw = entry[33 : 33 + name_length]
        if raw in (b"\0", b"\1"):
            continue
        name = _rock_ridge_name(source, entry[33 + name_length + (1 - name_length % 2) :])
        shown = text(name or raw.partition(b";")[0].rstrip(b"."))
        here = f"{path}/{shown}" if path else shown
        first, part = struct.unpack_from("<I4xI", entry, 2)
        if entry[25] & _DIRECTORY:
            yield from _files(source, entry, here, seen)
        elif entry[25] & _MORE:
            large += part
        else:
            yield File(here, large + part), (first * _BLOCK if not large else 0)
            large = 0


def _rock_ridge_name(source: Source, area: bytes) -> bytes:
    """Return the name that Rock Ridge gives, following its continuations."""
    name, left = b"", 16
    while area and left:
        left -= 1
        following = b""
        while len(area) >= 4 and area[2] >= 4:
            entry, area = area[: area[2]], area[area[2] :]
            if entry[:2] == b"NM":
                name += entry[5:]
            elif entry[:2] == b"CE" and len(entry) >= 28:
                block, offset, size = struct.unpack_from("<I4xI4xI", entry, 4)
                following = source.read(block * _BLOCK + offset, min(size, _LARGEST_AREA))
        area = following
    return name


PROBES = (
    Probe(
        "ISO",
        lambda _, source: source.read(_FIRST * _BLOCK + 1, 5) == b"CD001",
        _look,
    ),
)
