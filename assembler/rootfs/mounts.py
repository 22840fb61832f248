"""The mounts of a container: default ones, tmpfs, binds and mounts, one per destination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import PlanError
from assembler.rootfs.diagnostic_collector import NAMES, DiagnosticCollector
from assembler.rootfs.json_rendering import JsonObject, drop_empty

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config import IdMapping, Mount
    from assembler.diagnostics import Place
    from assembler.rootfs.container_settings import ContainerSettings, ListItem
    from assembler.rootfs.volumes import Volumes

# Sources that imply the type of a mount, and default destinations of types.
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
    """A mount in config.json and runtime.json."""

    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()

    def as_json(self) -> JsonObject:
        """Return the JSON form; the destination is always present."""
        rest = drop_empty(
            {
                "type": self.type,
                "source": self.source,
                "options": list(self.options),
                "uidMappings": id_mappings(self.uid_mappings),
                "gidMappings": id_mappings(self.gid_mappings),
            }
        )
        return {"destination": self.destination, **rest}


def id_mappings(given: tuple[IdMapping, ...] | None) -> list[JsonObject]:
    """Return the JSON form of mappings, with all members."""
    return [
        {
            "containerID": m.container_id or 0,
            "hostID": m.host_id or 0,
            "size": m.size or 0,
        }
        for m in given or ()
    ]


def mounts(
    settings: ContainerSettings, volumes: Volumes, warnings: DiagnosticCollector
) -> list[JsonObject]:
    """Return the mounts sorted by destination; the last mount of a destination counts."""
    findings = DiagnosticCollector()
    found = {m.destination: m for m in _default_mounts(readonly=bool(settings.spec.readonly))}
    for word in settings.items["tmpfs"]:
        with findings.collect():
            mount = _tmpfs(settings, word)
            found[mount.destination] = mount
    for word in settings.items["binds"]:
        with findings.collect():
            mount = _bind(settings, word, volumes, warnings)
            found[mount.destination] = mount
    for given in settings.spec.mounts or ():
        with findings.collect():
            mount = _mount(settings, given, volumes, warnings)
            found[mount.destination] = mount
    findings.raise_errors()
    return [found[destination].as_json() for destination in sorted(found)]


def _default_mounts(*, readonly: bool) -> Iterator[SpecMount]:
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


def _tmpfs(settings: ContainerSettings, word: ListItem) -> SpecMount:
    destination, colon, options = word.text.partition(":")
    if ":" in options:
        message = f"tmpfs {word.text!r} has too many parts"
        hint = "write DESTINATION[:OPTION,...], as /tmp:size=64m,mode=1777"
        raise settings.error(rootfs.BAD_MOUNT, message, hint, place=word.place)
    return SpecMount(destination, "tmpfs", "tmpfs", _options(options) if colon else ())


def _bind(
    settings: ContainerSettings, word: ListItem, volumes: Volumes, warnings: DiagnosticCollector
) -> SpecMount:
    parts = word.text.split(":")
    if not 2 <= len(parts) <= 3:
        message = f"bind {word.text!r} has {'one part' if len(parts) < 2 else 'too many parts'}"
        hint = "write SOURCE:DESTINATION[:OPTION,...], as /etc/hosts:/etc/hosts:ro"
        raise settings.error(rootfs.BAD_MOUNT, message, hint, place=word.place)
    options = (*_options(parts[2]), "rbind") if len(parts) == 3 else _BOUND
    source = _source(settings, parts[0], options, volumes, word.from_label, word.place, warnings)
    return SpecMount(parts[1], "bind", source, options)


def _mount(
    settings: ContainerSettings, mount: Mount, volumes: Volumes, warnings: DiagnosticCollector
) -> SpecMount:
    kind, source, destination = mount.type or "", mount.source or "", mount.destination or ""
    if not kind:
        if source in _TYPE_IS_SOURCE:
            kind = source
        elif destination == "/dev":
            kind = "tmpfs"
        else:
            message = f"the mount at {destination or 'no destination'} has no type"
            hint = 'give a type: "bind", "tmpfs", or a filesystem, as "ext4"'
            raise settings.error(rootfs.BAD_MOUNT, message, hint, place=mount.positions.place)
    if not destination:
        if kind not in _DESTINATIONS:
            message = f"the mount of type {kind} has no destination"
            raise settings.error(rootfs.BAD_MOUNT, message, place=mount.positions.place)
        destination = _DESTINATIONS[kind]
    options = mount.options or ()
    if kind == "bind" and source:
        from_label = settings.from_label("mounts")
        place = mount.positions.place_of("source")
        source = _source(settings, source, options, volumes, from_label, place, warnings)
    return SpecMount(
        destination,
        kind,
        source or kind,
        options,
        mount.uid_mappings or (),
        mount.gid_mappings or (),
    )


def _source(
    settings: ContainerSettings,
    source: str,
    options: tuple[str, ...],
    volumes: Volumes,
    from_label: bool,  # noqa: FBT001 - one of the facts about the source
    place: Place | None,
    warnings: DiagnosticCollector,
) -> str:
    """Return the path of a source; a source without a leading slash is a volume."""
    if source.startswith("/"):
        return source
    if from_label and source not in volumes:
        # A label cannot know the volumes of all systems; like LinuxKit, keep its text.
        missing = f"{source!r}, which is not a volume of this system"
        diagnostic = settings.with_image_remark(
            Diagnostic(
                rootfs.UNKNOWN_VOLUME,
                f"{settings.name!r} binds {missing}",
                place,
                (f"define it: `volumes: [{{name: {source}}}]`",),
                severity=Severity.WARNING,
            )
        )
        warnings.add_grouped_warning(settings.name, diagnostic, f"{NAMES} bind {missing}")
        return source
    try:
        return volumes.source(source, options)
    except PlanError as error:
        raise PlanError(
            [settings.with_image_remark(d) for d in error.with_place(place).diagnostics]
        ) from error


def _options(text: str) -> tuple[str, ...]:
    return tuple(option for option in text.split(",") if option)
