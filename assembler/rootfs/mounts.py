"""The mounts of a container: the usual ones, tmpfs, binds and mounts, one per destination."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import PlanError
from assembler.rootfs.diagnostic_collector import NAMES, DiagnosticCollector
from assembler.rootfs.rendering import Json, without_nothing

if TYPE_CHECKING:
    from assembler.config.model import IdMapping, Mount
    from assembler.diagnostics import Place
    from assembler.rootfs.merging import Merged, Word
    from assembler.rootfs.volumes import Volumes

# What the source of a mount without a type may say, and the destination of one without that.
_TYPE_IS_SOURCE = ("mqueue", "devpts", "proc", "sysfs", "cgroup")
_DESTINATIONS = {
    "proc": "/proc",
    "devpts": "/dev/pts",
    "sysfs": "/sys",
    "cgroup": "/sys/fs/cgroup",
    "mqueue": "/dev/mqueue",
}
_BOUND = ("rw", "rbind", "rshared")


@dataclass(frozen=True, slots=True)
class SpecMount:
    """A mount as the runtime specification and runtime.json have it."""

    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()

    def as_json(self) -> Json:
        """Return the form that is written; the destination is always there."""
        rest = without_nothing(
            {
                "type": self.type,
                "source": self.source,
                "options": list(self.options),
                "uidMappings": id_mappings(self.uid_mappings),
                "gidMappings": id_mappings(self.gid_mappings),
            }
        )
        return {"destination": self.destination, **rest}


def id_mappings(given: tuple[IdMapping, ...] | None) -> list[Json]:
    """Return mappings with all their members."""
    return [
        {
            "containerID": m.container_id or 0,
            "hostID": m.host_id or 0,
            "size": m.size or 0,
        }
        for m in given or ()
    ]


def mounts(wanted: Merged, volumes: Volumes, warnings: DiagnosticCollector) -> list[Json]:
    """Return the mounts sorted by destination; of one destination the last counts."""
    findings = DiagnosticCollector()
    found = {m.destination: m for m in _usual(readonly=bool(wanted.spec.readonly))}
    for word in wanted.words["tmpfs"]:
        with findings.caught():
            mount = _tmpfs(wanted, word)
            found[mount.destination] = mount
    for word in wanted.words["binds"]:
        with findings.caught():
            mount = _bind(wanted, word, volumes, warnings)
            found[mount.destination] = mount
    for given in wanted.spec.mounts or ():
        with findings.caught():
            mount = _mount(wanted, given, volumes, warnings)
            found[mount.destination] = mount
    findings.raise_errors()
    return [found[destination].as_json() for destination in sorted(found)]


def _usual(*, readonly: bool) -> Iterator[SpecMount]:
    ro = ("ro",) if readonly else ()
    yield SpecMount(
        "/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k", *ro)
    )
    yield SpecMount(
        "/dev/pts",
        "devpts",
        "devpts",
        ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
    )
    yield SpecMount("/proc", "proc", "proc", ("nosuid", "nodev", "noexec", "relatime"))
    yield SpecMount("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", *ro))
    yield SpecMount(
        "/sys/fs/cgroup", "cgroup", "cgroup", ("nosuid", "noexec", "nodev", "relatime", "ro")
    )


def _tmpfs(wanted: Merged, word: Word) -> SpecMount:
    destination, colon, options = word.text.partition(":")
    if ":" in options:
        message = f"tmpfs {word.text!r} has too many parts"
        hint = "write DESTINATION[:OPTION,...], as /tmp:size=64m,mode=1777"
        raise wanted.error(rootfs.BAD_MOUNT, message, hint, place=word.place)
    return SpecMount(destination, "tmpfs", "tmpfs", _options(options) if colon else ())


def _bind(wanted: Merged, word: Word, volumes: Volumes, warnings: DiagnosticCollector) -> SpecMount:
    parts = word.text.split(":")
    if not 2 <= len(parts) <= 3:
        message = f"bind {word.text!r} has {'one part' if len(parts) < 2 else 'too many parts'}"
        hint = "write SOURCE:DESTINATION[:OPTION,...], as /etc/hosts:/etc/hosts:ro"
        raise wanted.error(rootfs.BAD_MOUNT, message, hint, place=word.place)
    options = (*_options(parts[2]), "rbind") if len(parts) == 3 else _BOUND
    source = _source(wanted, parts[0], options, volumes, word.from_label, word.place, warnings)
    return SpecMount(parts[1], "bind", source, options)


def _mount(
    wanted: Merged, given: Mount, volumes: Volumes, warnings: DiagnosticCollector
) -> SpecMount:
    kind, source, destination = given.type or "", given.source or "", given.destination or ""
    if not kind:
        if source in _TYPE_IS_SOURCE:
            kind = source
        elif destination == "/dev":
            kind = "tmpfs"
        else:
            message = f"the mount at {destination or 'no destination'} has no type"
            hint = 'say its type: "bind", "tmpfs", or that of a filesystem, as "ext4"'
            raise wanted.error(rootfs.BAD_MOUNT, message, hint, place=given.positions.place)
    if not destination:
        if kind not in _DESTINATIONS:
            message = f"the mount of type {kind} has no destination"
            raise wanted.error(rootfs.BAD_MOUNT, message, place=given.positions.place)
        destination = _DESTINATIONS[kind]
    options = given.options or ()
    if kind == "bind" and source:
        from_label = wanted.from_label("mounts")
        place = given.positions.place_of("source")
        source = _source(wanted, source, options, volumes, from_label, place, warnings)
    return SpecMount(
        destination,
        kind,
        source or kind,
        options,
        given.uid_mappings or (),
        given.gid_mappings or (),
    )


def _source(
    wanted: Merged,
    source: str,
    options: tuple[str, ...],
    volumes: Volumes,
    from_label: bool,  # noqa: FBT001 - one of the facts about the source
    place: Place | None,
    warnings: DiagnosticCollector,
) -> str:
    """Return the path that is bound: a source without a slash in front is a volume."""
    if source.startswith("/"):
        return source
    if from_label and source not in volumes:
        # A label cannot know the volumes of all systems; LinuxKit hands on what it says.
        missing = f"{source!r}, which is no volume of this system"
        diagnostic = wanted.explained(
            Diagnostic(
                rootfs.UNKNOWN_VOLUME,
                f"{wanted.name!r} binds {missing}",
                place,
                (f"define it: `volumes: [{{name: {source}}}]`",),
                severity=Severity.WARNING,
            )
        )
        warnings.note_for(wanted.name, diagnostic, f"{NAMES} bind {missing}")
        return source
    try:
        return volumes.source(source, options)
    except PlanError as error:
        raise PlanError(
            [wanted.explained(d) for d in error.with_place(place).diagnostics]
        ) from error


def _options(text: str) -> tuple[str, ...]:
    return tuple(option for option in text.split(",") if option)
