"""Verified systems: from the config to what formats make their disks and command lines of."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from assembler.config import parse_size
from assembler.rootfs.plan import DEFAULT_VERSION, DataSpec, DiskSpec, VerifiedSystem
from assembler.rootfs.volumes import volume_content

if TYPE_CHECKING:
    from assembler.config import Config, DataPartition, DiskSection, Healthy, Verified
    from assembler.rootfs.plan_options import ResolvedImages

_DEFAULT_GROWTH = "2x"
_LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
_SWAP = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
_BASIC = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
_ENCRYPTED = "ca7d7ccb-63ed-4c53-861c-1742536059cc"
# Those of the Discoverable Partitions Specification.
_TYPES = {
    "linux": _LINUX,
    "var": "4d21b016-b534-45c2-a9fb-5c16e091fd2d",
    "srv": "3b8f8425-20e0-4f3b-907f-1a25a76f98e8",
    "home": "933ac7e1-2eb4-4f13-b844-0e14e2aef915",
    "tmp": "7ec6f557-3bc5-4aca-b293-16ef5df639d1",
    "swap": _SWAP,
    "basic": _BASIC,
}
_OF_FILESYSTEM = {"swap": _SWAP, "vfat": _BASIC}


def verified_system(config: Config, resolved: ResolvedImages) -> VerifiedSystem | None:
    """Return what the config says; None if the system is not to be verified."""
    verified = config.verified
    if verified is None or not verified.enabled:
        return None
    return VerifiedSystem(
        verified.version or DEFAULT_VERSION,
        verified.filesystem or "squashfs",
        verified.on_corruption or "fallback",
        _healthy_words(verified),
        DiskSpec() if config.disk is None else _disk(config.disk, config, resolved),
    )


def _healthy_words(verified: Verified) -> tuple[str, ...]:
    healthy: Healthy | None = verified.healthy
    if healthy is None:
        return ()
    words = []
    if healthy.command is not None:
        words.append(f"dolmen.healthy=exec:{healthy.command}")
    elif healthy.services:
        words.append(f"dolmen.healthy={','.join(healthy.services)}")
    if healthy.after is not None:
        words.append(f"dolmen.healthy-after={healthy.after}")
    if healthy.limit is not None:
        words.append(f"dolmen.healthy-limit={healthy.limit}")
    return tuple(f'"{word}"' if " " in word else word for word in words)


def _disk(disk: DiskSection, config: Config, resolved: ResolvedImages) -> DiskSpec:
    slots = disk.slots
    return DiskSpec(
        _size(disk.size),
        _size(disk.esp),
        _size(slots.root) if slots else None,
        _size(slots.hash) if slots else None,
        Fraction((disk.growth or _DEFAULT_GROWTH)[:-1]),
        tuple(_data(partition, config, resolved) for partition in disk.data or ()),
        disk.positions,
    )


def _data(partition: DataPartition, config: Config, resolved: ResolvedImages) -> DataSpec:
    filesystem = "" if partition.encrypt else partition.filesystem or "ext4"
    usual = _OF_FILESYSTEM.get(filesystem, _LINUX if filesystem else _ENCRYPTED)
    content = None
    if partition.volume is not None:
        volume = next(v for v in config.volumes if v.name == partition.volume)
        content = volume_content(volume, f"disk.{partition.label}", resolved)
    kind = partition.type
    return DataSpec(
        partition.label,
        usual if kind is None else _TYPES.get(kind, kind.lower()),
        filesystem,
        _size(partition.size),
        bool(partition.grow),
        content,
        partition.positions.place_of("label"),
    )


def _size(text: str | None) -> int | None:
    return None if text is None else parse_size(text)
