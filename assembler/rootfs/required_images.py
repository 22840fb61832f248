"""The images that a config requires; known before any image is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from assembler.oci import Platform, Reference
from assembler.rootfs.diagnostic_collector import DiagnosticCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config import Config, Volume
    from assembler.diagnostics import Place

SECTIONS = ("onboot", "onshutdown", "services")


class ImageRole(StrEnum):
    """The use of an image."""

    KERNEL = "kernel"
    INIT = "init"
    VOLUME = "volume"
    # A volume of format oci: the image itself is the data, for several platforms.
    LAYOUT = "layout"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class RequiredImage:
    """One use of an image, and its place."""

    reference: Reference
    role: ImageRole
    place: Place | None = None
    # For a layout only: the requested platforms; none means all.
    platforms: tuple[Platform, ...] = ()


def find_required_images(config: Config) -> tuple[RequiredImage, ...]:
    """Return every use of an image in the order of the plan; raise for invalid references."""
    findings = DiagnosticCollector()
    needs: list[RequiredImage] = []
    for text, role, place, volume in _uses(config):
        with findings.collect(place):
            reference = Reference.parse(text)
            wanted = volume_platforms(volume) if volume and role is ImageRole.LAYOUT else ()
            needs.append(RequiredImage(reference, role, place, wanted))
    findings.raise_errors()
    return tuple(needs)


def volume_platforms(volume: Volume) -> tuple[Platform, ...]:
    """Return the platforms that a volume requests; none means all."""
    findings = DiagnosticCollector()
    found: list[Platform] = []
    for number, text in enumerate(volume.platforms or ()):
        with findings.collect(volume.positions.place_of("platforms", number)):
            found.append(Platform.parse(text))
    findings.raise_errors()
    return tuple(found)


def is_image_layout(volume: Volume) -> bool:
    """Tell whether the volume holds an image as an OCI layout."""
    return bool(volume.image) and volume.format == "oci"


def _uses(config: Config) -> Iterator[tuple[str, ImageRole, Place | None, Volume | None]]:
    if config.kernel is not None and config.kernel.image:
        yield config.kernel.image, ImageRole.KERNEL, config.kernel.positions.place_of("image"), None
    for number, image in enumerate(config.init):
        yield image, ImageRole.INIT, config.positions.place_of("init", number), None
    for volume in config.volumes:
        if volume.image:
            role = ImageRole.LAYOUT if is_image_layout(volume) else ImageRole.VOLUME
            yield volume.image, role, volume.positions.place_of("image"), volume
    for section in SECTIONS:
        for container in getattr(config, section):
            yield container.image, ImageRole.CONTAINER, container.positions.place_of("image"), None
