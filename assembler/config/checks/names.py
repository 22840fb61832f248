"""Names: of services, containers and volumes, and of the ids that containers have."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.findings import error, meant, warning
from assembler.config.messages import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.config.model import Config, Container, File, Id, Spec, Volume
    from assembler.diagnostics import Diagnostic, Place

_GOOD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_ROOT = ("", "root")


@dataclass(frozen=True, slots=True)
class Known:
    """The names that other values may use."""

    volumes: Mapping[str, Volume] = field(default_factory=dict)
    containers: frozenset[str] = frozenset()
    volumes_complete: bool = False
    names_complete: bool = False

    @classmethod
    def of(cls, config: Config, *, volumes_complete: bool, names_complete: bool) -> Known:
        """Gather the names of a configuration."""
        everyone = (*config.onboot, *config.onshutdown, *config.services)
        return cls(
            {volume.name: volume for volume in config.volumes},
            frozenset(container.name for container in everyone),
            volumes_complete,
            names_complete,
        )


def check_names(config: Config) -> Iterator[Diagnostic]:
    """Check that names are good ones, and unique where they must be."""
    for container in (*config.onboot, *config.onshutdown, *config.services):
        yield from _container_name(container)
    services: dict[str, Place | None] = {}
    for service in config.services:
        if not service.name:
            continue
        place = service.at.of("name")
        if service.name in services:
            yield error(
                codes.DUPLICATE_SERVICE,
                f"the service {shortened(service.name)!r} is here for the second time",
                place,
                "give one of them another name",
                first=("it was first used here", services[service.name]),
            )
        services.setdefault(service.name, place)
    volumes: dict[str, Place | None] = {}
    for volume in config.volumes:
        place = volume.at.of("name")
        if volume.name in volumes:
            yield error(
                codes.DUPLICATE_VOLUME,
                f"the volume {volume.name!r} is here for the second time",
                place,
                "give one of them another name",
                first=("it was first used here", volumes[volume.name]),
            )
        volumes.setdefault(volume.name, place)


def _container_name(container: Container) -> Iterator[Diagnostic]:
    name, place = container.name, container.at.of("name")
    if "name" not in container.at.children:
        return
    parts = name.split("/")
    if name in ("", ".", "..") or len(parts) > 1:
        why = "it is empty" if not name else "it is to be one directory"
        yield error(codes.BAD_NAME, f"{name!r} cannot be a container's name: {why}", place)
    elif not _GOOD_NAME.fullmatch(name):
        yield warning(
            codes.BAD_NAME,
            f"{shortened(name)!r} is an odd name for a container",
            place,
            "container runtimes take letters, digits, `_`, `.`, `+` and `-`",
        )


def check_ids(part: Spec | File, known: Known) -> Iterator[Diagnostic]:
    """Check that names in uid, gid and additionalGids are those of containers."""
    yield from _id(part.uid, part.at.of("uid"), "uid", known)
    yield from _id(part.gid, part.at.of("gid"), "gid", known)
    for index, gid in enumerate(getattr(part, "additional_gids", None) or ()):
        yield from _id(gid, part.at.of("additionalGids", index), "an id", known)


def _id(value: Id | None, place: Place | None, what: str, known: Known) -> Iterator[Diagnostic]:
    if not isinstance(value, str) or value in _ROOT or value in known.containers:
        return
    if value.strip().isdigit():
        hint = f"write {value.strip()} without quotes"
    elif not known.names_complete:
        return
    else:
        hint = meant(value, known.containers) or (
            "names are those of containers, " + ", ".join(sorted(known.containers))[:120]
            if known.containers
            else "give a number"
        )
    message = f"{what} is {shortened(value)!r}, but no container has this name"
    yield error(codes.UNKNOWN_ID, message, place, hint)
