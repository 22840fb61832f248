"""Which images a configuration needs, before anything is fetched or laid out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from assembler.oci import Platform, Reference
from assembler.rootfs.diagnostic_collector import DiagnosticCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.model import Config, Volume
    from assembler.diagnostics import Place

SECTIONS = ("onboot", "onshutdown", "services")


class Role(StrEnum):
    """What an image is needed for."""

    KERNEL = "kernel"
    INIT = "init"
    VOLUME = "volume"
    # A volume of format oci: the image itself is the data, for several platforms.
    LAYOUT = "layout"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class Need:
    """An image that is needed, for what, and where that is said."""

    reference: Reference
    role: Role
    place: Place | None = None
    # Of a layout only: for which platforms its images are needed; none means for all.
    platforms: tuple[Platform, ...] = ()


def references(config: Config) -> tuple[Need, ...]:
    """Return every use of an image in the order of the plan; raise for names that are none."""
    findings = DiagnosticCollector()
    needs: list[Need] = []
    for text, role, place, volume in _uses(config):
        with findings.caught(place):
            reference = Reference.parse(text)
            wanted = platforms(volume) if volume and role is Role.LAYOUT else ()
            needs.append(Need(reference, role, place, wanted))
    findings.raise_errors()
    return tuple(needs)


def platforms(volume: Volume) -> tuple[Platform, ...]:
    """Return the platforms a volume asks for; none means all there are."""
    findings = DiagnosticCollector()
    found: list[Platform] = []
    for number, text in enumerate(volume.platforms or ()):
        with findings.caught(volume.positions.place_of("platforms", number)):
            found.append(Platform.parse(text))
    findings.raise_errors()
    return tuple(found)


def is_layout(volume: Volume) -> bool:
    """Tell whether the volume holds an image as an OCI layout."""
    return bool(volume.image) and volume.format == "oci"


def _uses(config: Config) -> Iterator[tuple[str, Role, Place | None, Volume | None]]:
    if config.kernel is not None and config.kernel.image:
        yield config.kernel.image, Role.KERNEL, config.kernel.positions.place_of("image"), None
    for number, image in enumerate(config.init):
        yield image, Role.INIT, config.positions.place_of("init", number), None
    for volume in config.volumes:
        if volume.image:
            role = Role.LAYOUT if is_layout(volume) else Role.VOLUME
            yield volume.image, role, volume.positions.place_of("image"), volume
    for section in SECTIONS:
        for container in getattr(config, section):
            yield container.image, Role.CONTAINER, container.positions.place_of("image"), None
