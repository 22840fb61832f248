"""What image.yml asks for, as frozen data: the only form of it that later stages see.

`None` means "not given"; an empty tuple, mapping or text was given as empty, which is a different
thing wherever an image's label has a say. Every part knows where it was written (`at`).
Names of fields are those of the YAML in Python's spelling; where the YAML's differs, the field
names it in its metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assembler.config.position import Positions

Names = tuple[str, ...]
Id = int | str


def _named(yaml: str) -> Any:
    """Declare a field, not given by default, whose key in the YAML is `yaml`."""
    return field(default=None, metadata={"yaml": yaml})


def _at() -> Any:
    return field(default_factory=Positions, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel image and which of its members to use."""

    image: str | None = None
    cmdline: str | None = None
    binary: str | None = None
    tar: str | None = None
    ucode: str | None = None
    at: Positions = _at()


@dataclass(frozen=True, slots=True)
class Volume:
    """A place for data: blank, filled from an image, or an OCI layout."""

    name: str
    image: str | None = None
    readonly: bool | None = None
    format: str | None = None
    platforms: Names | None = None
    at: Positions = _at()


@dataclass(frozen=True, slots=True)
class File:
    """A file, directory or link of the root filesystem."""

    path: str | None = None
    directory: bool | None = None
    symlink: str | None = None
    contents: str | None = None
    source: str | None = None
    metadata: str | None = None
    optional: bool | None = None
    mode: str | None = None
    uid: Id | None = None
    gid: Id | None = None
    at: Positions = _at()
    # The file that `source` names, found; None also where it is optional and not there.
    found: Path | None = field(default=None, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class IdMapping:
    """A range of ids of the host standing for a range in a container."""

    host_id: int | None = _named("hostID")
    container_id: int | None = _named("containerID")
    size: int | None = None
    at: Positions = _at()


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount, of a container or made before it by the init system."""

    destination: str | None = None
    type: str | None = None
    source: str | None = None
    options: Names | None = None
    uid_mappings: tuple[IdMapping, ...] | None = _named("uidmappings")
    gid_mappings: tuple[IdMapping, ...] | None = _named("gidmappings")
    at: Positions = _at()


@dataclass(frozen=True, slots=True)
class Device:
    """A device node in a container."""

    path: str | None = None
    type: str | None = None
    major: int | None = None
    minor: int | None = None
    mode: str | None = None
    at: Positions = _at()


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface moved into, or made for, a container."""

    name: str | None = None
    add: str | None = None
    peer: str | None = None
    create_in_root: bool | None = _named("createInRoot")
    at: Positions = _at()


@dataclass(frozen=True, slots=True)
class BindNS:
    """Where a container's namespaces are bound to, so that others can join them."""

    cgroup: str | None = None
    ipc: str | None = None
    mnt: str | None = None
    net: str | None = None
    pid: str | None = None
    user: str | None = None
    uts: str | None = None
    at: Positions = _at()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the init system does around a container."""

    cgroups: Names | None = None
    mkdir: Names | None = None
    mounts: tuple[Mount, ...] | None = None
    interfaces: tuple[Interface, ...] | None = None
    bind_ns: BindNS | None = _named("bindNS")
    namespace: str | None = None
    at: Positions = _at()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What can be said of a container in image.yml and in the label of its image."""

    capabilities: Names | None = None
    capabilities_add: Names | None = _named("capabilities.add")
    ambient: Names | None = None
    mounts: tuple[Mount, ...] | None = None
    binds: Names | None = None
    binds_add: Names | None = _named("binds.add")
    devices: tuple[Device, ...] | None = None
    tmpfs: Names | None = None
    command: Names | None = None
    env: Names | None = None
    cwd: str | None = None
    net: str | None = None
    pid: str | None = None
    ipc: str | None = None
    uts: str | None = None
    userns: str | None = None
    hostname: str | None = None
    readonly: bool | None = None
    masked_paths: Names | None = _named("maskedPaths")
    readonly_paths: Names | None = _named("readonlyPaths")
    uid: Id | None = None
    gid: Id | None = None
    additional_gids: tuple[Id, ...] | None = _named("additionalGids")
    no_new_privileges: bool | None = _named("noNewPrivileges")
    oom_score_adj: int | None = _named("oomScoreAdj")
    rootfs_propagation: str | None = _named("rootfsPropagation")
    cgroups_path: str | None = _named("cgroupsPath")
    # As in the OCI runtime specification, keys in their proper spelling; checked by the schema.
    resources: Mapping[str, Any] | None = None
    sysctl: Mapping[str, str] | None = None
    rlimits: Names | None = None
    uid_mappings: tuple[IdMapping, ...] | None = _named("uidMappings")
    gid_mappings: tuple[IdMapping, ...] | None = _named("gidMappings")
    annotations: Mapping[str, str] | None = None
    runtime: Runtime | None = None
    at: Positions = _at()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container(Spec):
    """A container of onboot, onshutdown or services."""

    name: str
    image: str


@dataclass(frozen=True, slots=True)
class Trust:
    """Read for the sake of old files, and of no effect."""

    image: Names | None = None
    org: Names | None = None
    at: Positions = _at()


@dataclass(frozen=True, slots=True)
class Config:
    """A whole system, merged from all files given."""

    kernel: Kernel | None = None
    init: Names = ()
    volumes: tuple[Volume, ...] = ()
    onboot: tuple[Container, ...] = ()
    onshutdown: tuple[Container, ...] = ()
    services: tuple[Container, ...] = ()
    files: tuple[File, ...] = ()
    trust: Trust | None = None
    at: Positions = _at()
