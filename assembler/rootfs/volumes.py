"""Volumes: their directories and content, and the binds and mounts that use them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.oci import Reference
from assembler.rootfs.oci_layout import layout_entries
from assembler.rootfs.plan import (
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageTree,
    Origin,
    Part,
    TreeRules,
    leading_directories,
)
from assembler.rootfs.required_images import is_image_layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assembler.config import Config, Volume
    from assembler.rootfs.diagnostic_collector import DiagnosticCollector
    from assembler.rootfs.plan_options import ResolvedImages

ROOT = "containers/volumes"
_NAME = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes of a system by name."""

    by_name: Mapping[str, Volume]

    @classmethod
    def of(cls, config: Config) -> Volumes:
        """Return the volumes of a config."""
        return cls({v.name: v for v in config.volumes})

    def __contains__(self, name: str) -> bool:
        """Tell whether a volume has this name."""
        return name in self.by_name

    def source(self, name: str, options: Sequence[str]) -> str:
        """Return the path of a volume that is bound with `options`."""
        volume = self.by_name.get(name)
        if volume is None:
            hints = [f"the root filesystem's path would be /{name}"]
            if self.by_name:
                hints.insert(0, f"volumes are {', '.join(self.by_name)}")
            message = f"there is no volume {name!r}"
            raise PlanError.of(rootfs.UNKNOWN_VOLUME, message, *hints)
        if volume.readonly and not is_read_only(options):
            raise PlanError.of(
                rootfs.READONLY_VOLUME,
                f"volume {name!r} is read-only, but is bound for writing",
                f"bind it read-only: {name}:/DESTINATION:ro",
            )
        return volume_mount_path(name)


def is_read_only(options: Sequence[str]) -> bool:
    """Tell whether mount options mean read-only; the first of ro and rw decides."""
    return next((option == "ro" for option in options if option in ("ro", "rw")), False)


def volume_mount_path(name: str) -> str:
    """Return the mount point of a volume in the running system."""
    return f"/{ROOT}/{name}/merged"


def volume_parts(
    config: Config, resolved: ResolvedImages, findings: DiagnosticCollector
) -> Iterator[Part]:
    """Yield the parts of all volumes in their order."""
    for number, volume in enumerate(config.volumes):
        with findings.collect(volume.positions.place_of("name")):
            yield from _parts(volume, f"volume[{number}]", resolved)


def _parts(volume: Volume, location: str, resolved: ResolvedImages) -> Iterator[Part]:
    if not _NAME.fullmatch(volume.name):
        raise PlanError.of(
            rootfs.BAD_NAME,
            f"{volume.name!r} cannot be the name of a volume" if volume.name else "no name",
            "names of volumes are made of a-z, 0-9, _ and -",
        )
    place = (
        volume.positions.place_of("image") if volume.image else volume.positions.place_of("name")
    )
    reference = Reference.parse(volume.image) if volume.image else None
    origin = Origin(str(reference) if reference else "empty", location, place)
    base = f"{ROOT}/{volume.name}"
    yield GeneratedPart(origin, leading_directories(f"{base}/lower"))
    yield from _content(volume, reference, origin, f"{base}/lower/", resolved)
    yield GeneratedPart(
        Origin("linuxkit.volumes", location, place),
        tuple(
            GeneratedEntry(f"{base}/{name}", EntryKind.DIRECTORY, 0o755)
            for name in ("tmp", "merged")
        ),
    )


def volume_content(volume: Volume, location: str, resolved: ResolvedImages) -> tuple[Part, ...]:
    """Return the parts of a volume's content alone, for a filesystem of its own."""
    reference = Reference.parse(volume.image) if volume.image else None
    origin = Origin(str(reference) if reference else "empty", location)
    return tuple(_content(volume, reference, origin, "", resolved))


def _content(
    volume: Volume,
    reference: Reference | None,
    origin: Origin,
    prefix: str,
    resolved: ResolvedImages,
) -> Iterator[Part]:
    if reference is not None and is_image_layout(volume):
        yield GeneratedPart(origin, layout_entries(volume, reference, prefix, resolved))
    elif reference is not None:
        yield ImageTree(origin, resolved.images[reference], prefix, TreeRules.VOLUME)
