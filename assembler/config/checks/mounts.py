"""The checks of binds, tmpfs and mounts, and of the volumes that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.checks.mount_options import check_mount_options
from assembler.config.diagnostics import error, warning
from assembler.config.messages import shorten
from assembler.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.checks.names import KnownNames
    from assembler.config.model import ContainerSpec, Mount
    from assembler.diagnostics import Diagnostic, Place

# Types that a mount without a type takes from its source.
_TYPES_FROM_SOURCE = ("mqueue", "devpts", "proc", "sysfs", "cgroup")
DEFAULT_DESTINATIONS = {
    "proc": "/proc",
    "devpts": "/dev/pts",
    "sysfs": "/sys",
    "cgroup": "/sys/fs/cgroup",
    "mqueue": "/dev/mqueue",
}


def check_binds(spec: ContainerSpec, known: KnownNames) -> Iterator[Diagnostic]:
    """Check `binds` and `binds.add`."""
    for key, binds in (("binds", spec.binds), ("binds.add", spec.binds_add)):
        for index, bind in enumerate(binds or ()):
            yield from _check_bind(bind, spec.positions.place_of(key, index), known)


def _check_bind(bind: str, place: Place | None, known: KnownNames) -> Iterator[Diagnostic]:
    source, *rest = bind.split(":")
    if not 1 <= len(rest) <= 2 or not source:
        reason = "has no `:`" if not rest else "has too many `:`" if source else "has no source"
        hint = f"write {bind}:{bind}" if not rest and bind.startswith("/") else ""
        message = f"{shorten(bind)!r} {reason}; a bind is SOURCE:DESTINATION[:OPTIONS]"
        yield error(codes.BAD_BIND, message, place, hint)
        return
    destination, options = rest[0], rest[1].split(",") if len(rest) > 1 else []
    if not destination.startswith("/"):
        message = f"the destination {shorten(destination)!r} of a bind is not an absolute path"
        yield warning(codes.SUSPICIOUS_VALUE, message, place, f"write {source}:/{destination}")
    if len(rest) > 1 and not rest[1]:
        message = f"{shorten(bind)!r} ends with a `:` but has no options"
        yield warning(codes.SUSPICIOUS_VALUE, message, place, f"write {bind[:-1]}")
    yield from check_mount_options("bind", _with_places(options, place))
    if not source.startswith("/"):
        hint = f"write {source}:{destination}:{','.join(['ro', *_without_access_mode(options)])}"
        yield from _check_volume(source, place, known, readonly=_is_ro(options), hint=hint)


def _with_places(options: list[str], place: Place | None) -> Iterator[tuple[str, Place | None]]:
    """Yield each option of a text, with its place in it."""
    for option in options:
        yield option, place.part(option) if place is not None else None


def _without_access_mode(options: list[str]) -> list[str]:
    return [option for option in options if option not in ("rw", "ro", "")]


def _is_ro(options: list[str] | tuple[str, ...]) -> bool:
    return next((option for option in options if option in ("ro", "rw")), "rw") == "ro"


def _check_volume(
    name: str, place: Place | None, known: KnownNames, *, readonly: bool, hint: str
) -> Iterator[Diagnostic]:
    volume = known.volumes.get(name)
    if volume is None:
        if known.volumes_complete:
            yield error(
                codes.UNKNOWN_VOLUME,
                f"there is no volume {shorten(name)!r}",
                place,
                did_you_mean(name, known.volumes)
                or (
                    f"volumes: {', '.join(sorted(known.volumes))}"
                    if any(known.volumes)
                    else f"a path begins with `/`; a volume is defined by volumes: - name: {name}"
                ),
            )
    elif volume.readonly and not readonly:
        yield error(
            codes.READONLY_VOLUME,
            f"the read-only volume {name!r} is bound writable",
            place,
            hint,
            related=("it is made read-only here", volume.positions.lookup("readonly").key),
        )


def check_tmpfs(spec: ContainerSpec) -> Iterator[Diagnostic]:
    """Check `tmpfs`."""
    for index, text in enumerate(spec.tmpfs or ()):
        place = spec.positions.place_of("tmpfs", index)
        destination, *rest = text.split(":")
        if len(rest) > 1:
            message = f"{shorten(text)!r} has too many `:`; a tmpfs is DESTINATION[:OPTIONS]"
            hint = f"separate options with commas: {destination}:{','.join(rest)}"
            yield error(codes.BAD_TMPFS, message, place, hint)
        elif not destination.startswith("/"):
            message = f"the destination {shorten(destination)!r} of a tmpfs is not absolute"
            yield warning(codes.SUSPICIOUS_VALUE, message, place, f"write /{text}")
        if len(rest) == 1:
            yield from check_mount_options("tmpfs", _with_places(rest[0].split(","), place))


def check_mounts(spec: ContainerSpec, known: KnownNames) -> Iterator[Diagnostic]:
    """Check `mounts` and `runtime.mounts`: type and destination, and the options.

    Type or destination may be missing if one follows from the other.
    """
    for index, mount in enumerate(spec.mounts or ()):
        yield from _check_mount(mount, spec.positions.place_of("mounts", index), known)
        yield from _check_options(mount)
    for mount in (spec.runtime.mounts if spec.runtime is not None else None) or ():
        yield from _check_options(mount)


def _check_options(mount: Mount) -> Iterator[Diagnostic]:
    options = mount.options or ()
    mount_type = mount.type or ("bind" if {"bind", "rbind"} & set(options) else "")
    places = (mount.positions.place_of("options", index) for index in range(len(options)))
    yield from check_mount_options(mount_type, zip(options, places, strict=True))


def _check_mount(mount: Mount, place: Place | None, known: KnownNames) -> Iterator[Diagnostic]:
    invalid = {"type", "destination"} & {
        key for key in mount.positions.children if getattr(mount, str(key), "") is None
    }
    if invalid:
        return
    mount_type = mount.type or (mount.source if mount.source in _TYPES_FROM_SOURCE else "")
    if not mount_type and mount.destination == "/dev":
        mount_type = "tmpfs"
    if not mount_type:
        at = f" at {shorten(mount.destination)}" if mount.destination else ""
        hint = "such as type: tmpfs, type: bind, type: ext4"
        yield error(codes.BAD_MOUNT, f"the mount{at} has no type", place, hint)
    if not mount.destination and mount_type not in DEFAULT_DESTINATIONS:
        of = f" of type {shorten(mount_type)}" if mount_type else ""
        hint = "such as destination: /var/lib/data"
        yield error(codes.BAD_MOUNT, f"the mount{of} has no destination", place, hint)
    if mount.destination and not mount.destination.startswith("/"):
        message = f"the destination {shorten(mount.destination)!r} of a mount is not absolute"
        yield warning(codes.SUSPICIOUS_VALUE, message, mount.positions.place_of("destination"))
    if mount_type == "bind":
        place = mount.positions.place_of("source")
        if not mount.source:
            message = "a bind mount without a source has no effect"
            yield warning(codes.SUSPICIOUS_VALUE, message, place, "such as source: /var/lib/data")
        elif not mount.source.startswith("/"):
            readonly = _is_ro(mount.options or ())
            hint = "add the option ro: options: [ro]"
            yield from _check_volume(mount.source, place, known, readonly=readonly, hint=hint)
