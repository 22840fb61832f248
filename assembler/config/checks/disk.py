"""The checks of verified systems and their disks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.diagnostics import error, warning
from assembler.config.messages import shorten
from assembler.config.sizes import parse_duration, parse_size
from assembler.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.checks.names import KnownNames
    from assembler.config.model import Config, Container, DataPartition, DiskSection, Healthy
    from assembler.diagnostics import Diagnostic, Place

# The names of partition types; the stage rootfs has their UUIDs.
PARTITION_TYPES = ("linux", "var", "srv", "home", "tmp", "swap", "basic")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MAX_LABEL = {"ext4": 16, "xfs": 12, "vfat": 11, "swap": 15}
# What the smallest filesystem needs, generously.
_MIN_SIZE = {"ext4": 8 << 20, "xfs": 300 << 20, "vfat": 1 << 20, "swap": 1 << 20}
# The header of LUKS has 16 MiB.
_MIN_ENCRYPTED = 32 << 20
# Labels of the slots.
_SLOT_LABEL = re.compile(r"(root|hash)_.*|_empty|ESP|EFI.system", re.IGNORECASE)
_RESERVED = re.compile(r"(roothash|root|dolmen\.verity|dolmen\.healthy(-\w+)?)=.*|rw")


def check_verified(config: Config, known: KnownNames) -> Iterator[Diagnostic]:
    """Check the sections `verified` and `disk`."""
    verified = config.verified
    if verified is None or not verified.enabled:
        if config.disk is not None:
            yield warning(
                codes.NO_EFFECT,
                "`disk` has no effect: only a verified system has it",
                config.positions.lookup("disk").key,
                "add `verified: true`",
            )
        return
    if verified.healthy is not None:
        yield from _check_healthy(verified.healthy, config, known)
    yield from _check_cmdline(config)
    if config.disk is not None:
        yield from _check_disk(config.disk, config, known)


def _check_healthy(healthy: Healthy, config: Config, known: KnownNames) -> Iterator[Diagnostic]:
    names = [service.name for service in config.services]
    wanted: list[tuple[str, Place | None]] = [
        (name, healthy.positions.place_of("services", index))
        for index, name in enumerate(healthy.services or ())
    ]
    if healthy.command is not None:
        name = healthy.command.partition(":")[0]
        wanted.append((name, healthy.positions.place_of("command")))
    for name, place in wanted:
        if name not in names and known.containers_complete:
            message = f"there is no service {shorten(name)!r}"
            listed = f"services are {', '.join(names)}" if names else "there are no services"
            yield error(codes.BAD_HEALTHY, message, place, did_you_mean(name, names) or listed)
    if healthy.services and healthy.command:
        message = "`services` and `command` exclude each other"
        yield error(codes.BAD_HEALTHY, message, healthy.positions.lookup("command").key)
    after, limit = parse_duration(healthy.after or "10s"), parse_duration(healthy.limit or "5m")
    if limit <= after:
        key = "limit" if healthy.limit else "after"
        message = "the limit ends before a system can count as good"
        hint = "`limit` is 5m, and `after` 10s, if they are not written"
        yield error(codes.BAD_HEALTHY, message, healthy.positions.place_of(key), hint)


def _check_cmdline(config: Config) -> Iterator[Diagnostic]:
    kernel = config.kernel
    for word in ((kernel.cmdline if kernel else None) or "").split():
        if kernel is not None and _RESERVED.fullmatch(word):
            yield error(
                codes.RESERVED_CMDLINE,
                f"the command line has {shorten(word)!r}, which a verified system sets by itself",
                kernel.positions.place_of("cmdline"),
                "leave it out: the root filesystem is found by its root hash",
            )


def _check_disk(disk: DiskSection, config: Config, known: KnownNames) -> Iterator[Diagnostic]:
    labels: dict[str, Place | None] = {}
    partitions = disk.data or ()
    for number, partition in enumerate(partitions):
        place = partition.positions.place_of("label")
        if partition.label in labels:
            yield error(
                codes.DUPLICATE_LABEL,
                f"duplicate label {shorten(partition.label)!r}",
                place,
                "rename one of them",
                related=("it was first used here", labels[partition.label]),
            )
        labels.setdefault(partition.label, place)
        if _SLOT_LABEL.fullmatch(partition.label):
            message = f"{shorten(partition.label)!r} is a label of the slots"
            yield error(codes.BAD_PARTITION, message, place, "rename the partition")
        yield from _check_partition(partition, known)
        if known.containers_complete:
            yield from _check_onboot(partition, config)
        yield from _check_place(disk, partition, is_last=number == len(partitions) - 1)


def _check_onboot(partition: DataPartition, config: Config) -> Iterator[Diagnostic]:
    """Warn of what the machine would have to do, and no container of onboot does."""
    label = partition.label
    device = f"PARTLABEL={label}"
    commands = [container.command for container in config.onboot if container.command]
    if partition.encrypt and not any("--tpm" in words and device in words for words in commands):
        kind = ", --type, xfs" if partition.filesystem == "xfs" else ""
        yield warning(
            codes.NO_EFFECT,
            f"`encrypt` has no effect: nothing in onboot encrypts the partition {shorten(label)!r}",
            partition.positions.place_of("encrypt"),
            f'add to `onboot`: {{name: {label}, image: "@dolmen:dm-crypt", '
            f"command: [/usr/bin/crypto, --tpm{kind}, {label}, {device}]}}",
        )
    if partition.grow and not any(_grows(container) for container in config.onboot):
        filesystem = "luks" if partition.encrypt else partition.filesystem or "ext4"
        kind = "" if filesystem == "ext4" else f"-type, {filesystem}, "
        yield warning(
            codes.NO_EFFECT,
            f"`grow` has no effect: nothing in onboot grows the partition {shorten(label)!r}",
            partition.positions.place_of("grow"),
            f'add to `onboot`: {{name: grow, image: "@dolmen:extend", '
            f"command: [/usr/bin/extend, {kind}{device}]}}",
        )


def _grows(container: Container) -> bool:
    command = container.command
    return command[0].endswith("/extend") if command else "extend" in container.image


def _check_place(
    disk: DiskSection, partition: DataPartition, *, is_last: bool
) -> Iterator[Diagnostic]:
    if partition.grow and not is_last:
        message = "only the last partition can grow"
        place = partition.positions.place_of("grow")
        yield error(codes.BAD_DISK, message, place, "move it to the end of `data`")
    if partition.size is None and "size" not in partition.positions.children:
        if is_last and disk.size is not None:
            return
        message = f"the partition {shorten(partition.label)!r} has no size"
        hint = "add `size`" + (
            ", or the `size` of the disk: the last partition has the rest" if is_last else ""
        )
        yield error(codes.BAD_DISK, message, partition.positions.place_of("label"), hint)


def _check_partition(partition: DataPartition, known: KnownNames) -> Iterator[Diagnostic]:
    positions, filesystem = partition.positions, partition.filesystem or "ext4"
    kind = partition.type
    if kind is not None and kind not in PARTITION_TYPES and not _UUID.fullmatch(kind):
        yield error(
            codes.UNKNOWN_VALUE,
            f"there is no partition type {shorten(kind)!r}",
            positions.place_of("type"),
            did_you_mean(kind, PARTITION_TYPES),
            f"types are {', '.join(PARTITION_TYPES)}, and UUIDs",
        )
    if len(partition.label) > _MAX_LABEL[filesystem] and not partition.encrypt:
        yield error(
            codes.BAD_PARTITION,
            f"the label of {filesystem} has at most {_MAX_LABEL[filesystem]} characters",
            positions.place_of("label"),
            f"{shorten(partition.label)!r} has {len(partition.label)}",
        )
    least = _MIN_ENCRYPTED if partition.encrypt else _MIN_SIZE[filesystem]
    if partition.size is not None and parse_size(partition.size) < least:
        what = "encryption" if partition.encrypt else filesystem
        message = f"{partition.size} is too small for {what}"
        hint = f"write {least >> 20}M or more"
        yield error(codes.BAD_DISK, message, positions.place_of("size"), hint)
    if partition.volume is None:
        return
    place = positions.place_of("volume")
    if partition.volume not in known.volumes and known.volumes_complete:
        message = f"there is no volume {shorten(partition.volume)!r}"
        hint = did_you_mean(partition.volume, list(known.volumes))
        yield error(codes.UNKNOWN_VOLUME, message, place, hint or "add it to `volumes`")
    if partition.encrypt:
        message = "an encrypted partition is empty until the machine encrypts it"
        yield error(codes.BAD_PARTITION, message, place, "leave `volume` out")
    elif filesystem in ("xfs", "swap"):
        message = f"files of a volume cannot be put into {filesystem}"
        yield error(codes.BAD_PARTITION, message, place, "choose ext4 or vfat, or leave it out")
