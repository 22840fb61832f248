"""Binds, tmpfs and mounts, and the volumes that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.findings import error, meant, warning
from assembler.config.messages import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.checks.names import Known
    from assembler.config.model import Mount, Spec
    from assembler.diagnostics import Diagnostic, Place

# Their source alone says what they are.
_BY_SOURCE = ("mqueue", "devpts", "proc", "sysfs", "cgroup")
USUAL_PLACES = {
    "proc": "/proc",
    "devpts": "/dev/pts",
    "sysfs": "/sys",
    "cgroup": "/sys/fs/cgroup",
    "mqueue": "/dev/mqueue",
}


def check_binds(spec: Spec, known: Known) -> Iterator[Diagnostic]:
    """Check `binds` and `binds.add`."""
    for key, binds in (("binds", spec.binds), ("binds.add", spec.binds_add)):
        for index, bind in enumerate(binds or ()):
            yield from _bind(bind, spec.at.of(key, index), known)


def _bind(bind: str, place: Place | None, known: Known) -> Iterator[Diagnostic]:
    source, *rest = bind.split(":")
    if not 1 <= len(rest) <= 2 or not source:
        why = "has no `:`" if not rest else "has too many `:`" if source else "has no source"
        hint = f"write {bind}:{bind}" if not rest and bind.startswith("/") else ""
        message = f"{shortened(bind)!r} {why}; a bind is SOURCE:DESTINATION[:OPTIONS]"
        yield error(codes.BAD_BIND, message, place, hint)
        return
    destination, options = rest[0], rest[1].split(",") if len(rest) > 1 else []
    if not destination.startswith("/"):
        message = f"the destination {shortened(destination)!r} of a bind is not an absolute path"
        yield warning(codes.DOUBTFUL, message, place, f"write {source}:/{destination}")
    if len(rest) > 1 and not rest[1]:
        message = f"{shortened(bind)!r} ends with a `:` but has no options"
        yield warning(codes.DOUBTFUL, message, place, f"write {bind[:-1]}")
    if not source.startswith("/"):
        hint = f"write {source}:{destination}:{','.join(['ro', *_without_rw(options)])}"
        yield from _volume(source, place, known, readonly=_is_ro(options), hint=hint)


def _without_rw(options: list[str]) -> list[str]:
    return [option for option in options if option not in ("rw", "ro", "")]


def _is_ro(options: list[str] | tuple[str, ...]) -> bool:
    return next((option for option in options if option in ("ro", "rw")), "rw") == "ro"


def _volume(
    name: str, place: Place | None, known: Known, *, readonly: bool, hint: str
) -> Iterator[Diagnostic]:
    volume = known.volumes.get(name)
    if volume is None:
        if known.volumes_complete:
            yield error(
                codes.UNKNOWN_VOLUME,
                f"there is no volume {shortened(name)!r}",
                place,
                meant(name, known.volumes)
                or (
                    f"volumes are {', '.join(sorted(known.volumes))}"
                    if any(known.volumes)
                    else f"a path begins with `/`; a volume is listed under volumes: - name: {name}"
                ),
            )
    elif volume.readonly and not readonly:
        yield error(
            codes.READONLY_VOLUME,
            f"the volume {name!r} is read-only, and is bound writable",
            place,
            hint,
            first=("it is read-only by this", volume.at.within("readonly").key),
        )


def check_tmpfs(spec: Spec) -> Iterator[Diagnostic]:
    """Check `tmpfs`."""
    for index, text in enumerate(spec.tmpfs or ()):
        place = spec.at.of("tmpfs", index)
        destination, *rest = text.split(":")
        if len(rest) > 1:
            message = f"{shortened(text)!r} has too many `:`; a tmpfs is DESTINATION[:OPTIONS]"
            hint = f"options have commas between them: {destination}:{','.join(rest)}"
            yield error(codes.BAD_TMPFS, message, place, hint)
        elif not destination.startswith("/"):
            message = f"the destination {shortened(destination)!r} of a tmpfs is not absolute"
            yield warning(codes.DOUBTFUL, message, place, f"write /{text}")


def check_mounts(spec: Spec, known: Known) -> Iterator[Diagnostic]:
    """Check `mounts`: type and destination, where neither follows from anything."""
    for index, mount in enumerate(spec.mounts or ()):
        yield from _mount(mount, spec.at.of("mounts", index), known)


def _mount(mount: Mount, place: Place | None, known: Known) -> Iterator[Diagnostic]:
    lost = {"type", "destination"} & {
        key for key in mount.at.children if getattr(mount, str(key), "") is None
    }
    if lost:
        return
    kind = mount.type or (mount.source if mount.source in _BY_SOURCE else "")
    if not kind and mount.destination == "/dev":
        kind = "tmpfs"
    if not kind:
        at = f" at {shortened(mount.destination)}" if mount.destination else ""
        hint = "as type: tmpfs, type: bind, type: ext4"
        yield error(codes.BAD_MOUNT, f"the mount{at} has no type", place, hint)
    if not mount.destination and kind not in USUAL_PLACES:
        of = f" of type {shortened(kind)}" if kind else ""
        hint = "as destination: /var/lib/data"
        yield error(codes.BAD_MOUNT, f"the mount{of} has no destination", place, hint)
    if mount.destination and not mount.destination.startswith("/"):
        message = f"the destination {shortened(mount.destination)!r} of a mount is not absolute"
        yield warning(codes.DOUBTFUL, message, mount.at.of("destination"))
    if kind == "bind":
        where = mount.at.of("source")
        if not mount.source:
            message = "a bind mount without a source binds nothing"
            yield warning(codes.DOUBTFUL, message, where, "as source: /var/lib/data")
        elif not mount.source.startswith("/"):
            readonly = _is_ro(mount.options or ())
            hint = "give it the option ro: options: [ro]"
            yield from _volume(mount.source, where, known, readonly=readonly, hint=hint)
