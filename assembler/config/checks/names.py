"""The checks of names: services, containers, volumes, and the user and group IDs they give."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.diagnostics import error, warning
from assembler.config.messages import shorten
from assembler.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.config.model import Config, Container, ContainerSpec, Id, RootfsFile, Volume
    from assembler.diagnostics import Diagnostic, Place

_USUAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_ROOT = ("", "root")


@dataclass(frozen=True, slots=True)
class KnownNames:
    """The names of volumes and containers that other values may refer to."""

    volumes: Mapping[str, Volume] = field(default_factory=dict)
    containers: frozenset[str] = frozenset()
    volumes_complete: bool = False
    containers_complete: bool = False

    @classmethod
    def from_config(
        cls, config: Config, *, volumes_complete: bool, containers_complete: bool
    ) -> KnownNames:
        """Return the names of a config."""
        containers = (*config.onboot, *config.onshutdown, *config.services)
        return cls(
            {volume.name: volume for volume in config.volumes},
            frozenset(container.name for container in containers),
            volumes_complete,
            containers_complete,
        )


def check_names(config: Config) -> Iterator[Diagnostic]:
    """Check that names are valid, and those of services and volumes unique."""
    for container in (*config.onboot, *config.onshutdown, *config.services):
        yield from _check_container_name(container)
    services: dict[str, Place | None] = {}
    for service in config.services:
        if not service.name:
            continue
        place = service.positions.place_of("name")
        if service.name in services:
            yield error(
                codes.DUPLICATE_SERVICE,
                f"duplicate service {shorten(service.name)!r}",
                place,
                "rename one of them",
                related=("it was first used here", services[service.name]),
            )
        services.setdefault(service.name, place)
    volumes: dict[str, Place | None] = {}
    for volume in config.volumes:
        place = volume.positions.place_of("name")
        if volume.name in volumes:
            yield error(
                codes.DUPLICATE_VOLUME,
                f"duplicate volume {volume.name!r}",
                place,
                "rename one of them",
                related=("it was first used here", volumes[volume.name]),
            )
        volumes.setdefault(volume.name, place)


def _check_container_name(container: Container) -> Iterator[Diagnostic]:
    name, place = container.name, container.positions.place_of("name")
    if "name" not in container.positions.children:
        return
    parts = name.split("/")
    if name in ("", ".", "..") or len(parts) > 1:
        reason = "it is empty" if not name else "it must be the name of a single directory"
        yield error(codes.BAD_NAME, f"{name!r} cannot be a container's name: {reason}", place)
    elif not _USUAL_NAME.fullmatch(name):
        yield warning(
            codes.BAD_NAME,
            f"{shorten(name)!r} is an unusual name for a container",
            place,
            "container runtimes accept letters, digits, `_`, `.`, `+` and `-`",
        )


def check_ids(owner: ContainerSpec | RootfsFile, known: KnownNames) -> Iterator[Diagnostic]:
    """Check that names in uid, gid and additionalGids are names of containers."""
    yield from _check_id(owner.uid, owner.positions.place_of("uid"), "uid", known)
    yield from _check_id(owner.gid, owner.positions.place_of("gid"), "gid", known)
    for index, gid in enumerate(getattr(owner, "additional_gids", None) or ()):
        yield from _check_id(gid, owner.positions.place_of("additionalGids", index), "an id", known)


def _check_id(
    value: Id | None, place: Place | None, what: str, known: KnownNames
) -> Iterator[Diagnostic]:
    if not isinstance(value, str) or value in _ROOT or value in known.containers:
        return
    if value.strip().isdigit():
        hint = f"write {value.strip()} without quotes"
    elif not known.containers_complete:
        return
    else:
        hint = did_you_mean(value, known.containers) or (
            "containers: " + ", ".join(sorted(known.containers))[:120]
            if known.containers
            else "write a number"
        )
    message = f"{what} is {shorten(value)!r}, but no container has this name"
    yield error(codes.UNKNOWN_ID, message, place, hint)
