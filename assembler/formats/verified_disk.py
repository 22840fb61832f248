"""The disk of a verified system: ESP, two slots, and partitions for data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.formats.data_partitions import data_uuid
from assembler.formats.systems import EFI_LABEL, efi_boot_path
from assembler.media import (
    ESP_TYPE,
    GPT_ALIGNMENT,
    GPT_SECTOR,
    ExtentImage,
    FatFile,
    FatVolume,
    GptDisk,
    GptPartition,
    image_content,
    root_hash_uuids,
    verity_capacity,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from assembler.content import FileRange
    from assembler.formats.update_set import SystemRelease
    from assembler.media import SparseImage
    from assembler.rootfs import DataSpec, DiskSpec

# Of the Discoverable Partitions Specification: the root filesystem, and its hash tree.
_SLOT_TYPES = {
    "amd64": (
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
        "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5",
    ),
    "arm64": (
        "b921b045-1df0-41c3-af44-4c6f280d3fae",
        "df3300ce-d69f-4c92-978c-9bfb0f38d820",
    ),
    "riscv64": (
        "72ec70a6-cf74-40e6-bd49-4bda08e8f224",
        "b6ed5582-440b-4209-b8da-5ff7c419ea3d",
    ),
}
_FREE = "_empty"
_READ_ONLY, _GROWS = 1 << 60, 1 << 59
_MIN_ESP = 64 << 20
# One that runs, one to fall back to, and one that is being written.
_PROGRAMS = 3
_LOADER_CONF = b"timeout 0\n"


@dataclass(frozen=True, slots=True)
class SlotContent:
    """What fills slot A."""

    root: FileRange
    hash: FileRange
    root_hash: bytes


@dataclass(frozen=True, slots=True)
class DiskSizes:
    """The sizes of the partitions before those for data."""

    esp: int
    root: int
    hash: int

    @property
    def end(self) -> int:
        """Return the offset behind them."""
        return GPT_ALIGNMENT + self.esp + 2 * (self.root + self.hash)


def esp_files(
    architecture: str, loader: SparseImage, release: SystemRelease, program: SparseImage
) -> list[FatFile]:
    """Return the files of the ESP: the boot loader, its configuration, and the program."""
    return [
        FatFile(efi_boot_path(architecture), image_content(loader)),
        FatFile("loader/loader.conf", _LOADER_CONF),
        FatFile(f"EFI/Linux/{release.program_name}", image_content(program)),
    ]


def plan_sizes(spec: DiskSpec, content: SlotContent, files: Sequence[FatFile]) -> DiskSizes:
    """Return the sizes; slots and an ESP that are too small are refused, with what would do."""
    root = _slot_size(spec, "root", spec.root, content.root.size)
    tree = content.hash.size if spec.hash is not None else verity_capacity(root)
    slot = _slot_size(spec, "hash", spec.hash, tree, spec.growth if spec.hash is not None else None)
    program = files[-1]
    spare = [FatFile(f"{program.path}.{n}", program.content) for n in range(1, _PROGRAMS)]
    needed = _rounded(FatVolume.plan([*files, *spare], seed=b"size").size)
    grown = max(_MIN_ESP, _grown(needed, spec.growth))
    esp = grown if spec.esp is None else _rounded(spec.esp)
    if esp < needed:
        raise OutputError.of(
            codes.ESP_TOO_SMALL,
            f"an ESP of {_text(esp)} has no room for two more kernels beside that of "
            f"{_text(_rounded(program.size))}",
            f"write `esp: {_text(needed)}`, or {_text(grown)} for growth; or leave it out",
            place=spec.positions.place_of("esp"),
        )
    return DiskSizes(esp, root, slot)


def _slot_size(
    spec: DiskSpec, key: str, given: int | None, needed: int, growth: Fraction | None = None
) -> int:
    """Return the size of a slot's partition, and refuse a given one that is too small."""
    least = _rounded(needed)
    is_derived = key == "hash" and growth is None
    grown = least if is_derived else _grown(needed, spec.growth)
    if given is None:
        return grown
    if _rounded(given) < needed:
        what = "root filesystem" if key == "root" else "hash tree"
        raise OutputError.of(
            codes.SLOT_TOO_SMALL,
            f"the {what} of {_text(least)} does not fit into a slot of {_text(given)}",
            f"write `{key}: {_text(least)}`, or {_text(grown)} for growth; or leave it out",
            place=spec.positions.place_of("slots", key),
        )
    return _rounded(given)


def data_sizes(spec: DiskSpec, sizes: DiskSizes, size: int | None) -> list[int]:
    """Return the sizes of the partitions for data; the last one may have the rest of the disk."""
    fixed = [_rounded(data.size) for data in spec.data if data.size is not None]
    needed = sizes.end + sum(fixed) + GPT_ALIGNMENT
    rest = len(spec.data) > len(fixed)
    least = needed + (GPT_ALIGNMENT if rest else 0)
    if size is None:
        return [*fixed, *([GPT_ALIGNMENT] if rest else [])]
    if size // GPT_SECTOR * GPT_SECTOR < least:
        raise OutputError.of(
            codes.TOO_SMALL,
            f"the partitions do not fit on a disk of {_text(size)}",
            f"{_text(_rounded(least))} is enough: slots and ESP have {_text(sizes.end)}",
            place=spec.positions.place_of("size") if "size" in spec.positions.children else None,
        )
    if rest:
        fixed.append((size - needed) // GPT_ALIGNMENT * GPT_ALIGNMENT)
    return fixed


def verified_disk(
    release: SystemRelease,
    sizes: DiskSizes,
    content: SlotContent,
    files: Sequence[FatFile],
    data: Sequence[tuple[DataSpec, SparseImage]],
    size: int | None,
    seed: bytes,
) -> GptDisk:
    """Return the disk: slot A is filled, slot B is free."""
    hidden = GPT_ALIGNMENT // GPT_SECTOR
    esp = FatVolume.plan(files, size=sizes.esp, label=EFI_LABEL, hidden_sectors=hidden, seed=seed)
    root_type, hash_type = _SLOT_TYPES[release.architecture]
    root_uuid, hash_uuid = map(str, root_hash_uuids(content.root_hash))
    root = ExtentImage.of([(0, content.root)], sizes.root)
    tree = ExtentImage.of([(0, content.hash)], sizes.hash)
    partitions = [
        GptPartition(ESP_TYPE, EFI_LABEL, esp),
        GptPartition(root_type, f"root_{release.version}", root, _READ_ONLY, root_uuid),
        GptPartition(hash_type, f"hash_{release.version}", tree, _READ_ONLY, hash_uuid),
        GptPartition(root_type, _FREE, ExtentImage(sizes.root, ()), _READ_ONLY),
        GptPartition(hash_type, _FREE, ExtentImage(sizes.hash, ()), _READ_ONLY),
    ]
    for spec, image in data:
        own = str(data_uuid(release.product, spec.label, "partition"))
        flags = _GROWS if spec.grows else 0
        partitions.append(GptPartition(spec.type, spec.label, image, flags, own))
    return GptDisk.plan(partitions, seed=seed, size=size)


def _rounded(size: int) -> int:
    return -(-size // GPT_ALIGNMENT) * GPT_ALIGNMENT


def _grown(size: int, growth: Fraction) -> int:
    return _rounded(-int(-size * growth // 1))


def _text(size: int) -> str:
    return f"{-(-size // GPT_ALIGNMENT)}M"
