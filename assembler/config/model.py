"""The model of image.yml: frozen data, the only form that later stages see.

`None` means that the YAML does not have the key. An empty tuple, mapping or text means that the
key has an empty value, which overrides the value of an image's label. Each part has the places of
its values (`positions`). A field has the name of its YAML key in snake case; where the key is not
the field's name, the field's metadata has the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assembler.config.positions import Positions

Strings = tuple[str, ...]
Id = int | str
# Keys of ContainerSpec that LinuxKit does not know, and refuses in a label.
LABEL_EXTENSIONS = ("apparmor", "expose", "seccomp")
# The values of `seccomp` that are no path.
SECCOMP_WORDS = ("default", "unconfined")


def _yaml_key(yaml: str) -> Any:
    """Declare an optional field whose key in the YAML is `yaml`."""
    return field(default=None, metadata={"yaml": yaml})


def _positions_field() -> Any:
    """Declare the field that holds the places of a part's values."""
    return field(default_factory=Positions, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel image, and the names of the files in it."""

    image: str | None = None
    cmdline: str | None = None
    binary: str | None = None
    tar: str | None = None
    ucode: str | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume: empty, filled from an image, or an OCI layout."""

    name: str
    image: str | None = None
    readonly: bool | None = None
    format: str | None = None
    platforms: Strings | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class RootfsFile:
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
    positions: Positions = _positions_field()
    # The file that `source` names; None if it is optional and does not exist.
    source_path: Path | None = field(default=None, compare=False, kw_only=True)
    # The paths where it was searched: a change of one of them changes the system.
    source_candidates: tuple[Path, ...] = field(default=(), compare=False, kw_only=True)
    # The URL of `source` in a YAML file from a URL, and the content there; None if it is optional
    # and does not exist.
    source_url: str = field(default="", compare=False, kw_only=True)
    source_content: bytes | None = field(default=None, compare=False, kw_only=True, repr=False)


@dataclass(frozen=True, slots=True)
class IdMapping:
    """A range of user or group IDs of a container, and the range of the host it is mapped to."""

    host_id: int | None = _yaml_key("hostID")
    container_id: int | None = _yaml_key("containerID")
    size: int | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount inside a container, or one that the init system makes before it starts one."""

    destination: str | None = None
    type: str | None = None
    source: str | None = None
    options: Strings | None = None
    uid_mappings: tuple[IdMapping, ...] | None = _yaml_key("uidmappings")
    gid_mappings: tuple[IdMapping, ...] | None = _yaml_key("gidmappings")
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class Device:
    """A device node in a container."""

    path: str | None = None
    type: str | None = None
    major: int | None = None
    minor: int | None = None
    mode: str | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface that is moved into a container or created for it."""

    name: str | None = None
    add: str | None = None
    peer: str | None = None
    create_in_root: bool | None = _yaml_key("createInRoot")
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class BindNS:
    """The paths that a container's namespaces are bound to, so that other containers can join."""

    cgroup: str | None = None
    ipc: str | None = None
    mnt: str | None = None
    net: str | None = None
    pid: str | None = None
    user: str | None = None
    uts: str | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the init system sets up before it starts a container."""

    cgroups: Strings | None = None
    mkdir: Strings | None = None
    mounts: tuple[Mount, ...] | None = None
    interfaces: tuple[Interface, ...] | None = None
    bind_ns: BindNS | None = _yaml_key("bindNS")
    namespace: str | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class ExposedPort:
    """A port that the firewall opens, as `80/tcp`, and the networks that it is open for."""

    port: Id
    # Networks and addresses; None means all.
    sources: Strings | None = _yaml_key("from")
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class Firewall:
    """The firewall: what it lets in besides the ports of the services."""

    expose: tuple[ExposedPort, ...] | None = None
    forward: bool | None = None
    ping: bool | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class Healthy:
    """When a new version of a verified system counts as good."""

    services: Strings | None = None
    command: str | None = None
    after: str | None = None
    limit: str | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class Verified:
    """How a verified system is made and judged."""

    version: str | None = None
    filesystem: str | None = None
    on_corruption: str | None = _yaml_key("on-corruption")
    healthy: Healthy | None = None
    # The short form: true or false alone.
    enabled: bool = field(default=True, kw_only=True)
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class Slots:
    """The sizes of each slot of a disk."""

    root: str | None = None
    hash: str | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class DataPartition:
    """A partition of a disk for data."""

    label: str
    type: str | None = None
    filesystem: str | None = None
    size: str | None = None
    volume: str | None = None
    encrypt: str | None = None
    grow: bool | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class DiskSection:
    """The disk of a verified system."""

    size: str | None = None
    esp: str | None = None
    slots: Slots | None = None
    growth: str | None = None
    data: tuple[DataPartition, ...] | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """The settings of a container: the keys that image.yml and an image's label share."""

    capabilities: Strings | None = None
    capabilities_add: Strings | None = _yaml_key("capabilities.add")
    ambient: Strings | None = None
    mounts: tuple[Mount, ...] | None = None
    binds: Strings | None = None
    binds_add: Strings | None = _yaml_key("binds.add")
    devices: tuple[Device, ...] | None = None
    tmpfs: Strings | None = None
    command: Strings | None = None
    env: Strings | None = None
    cwd: str | None = None
    net: str | None = None
    expose: tuple[ExposedPort, ...] | None = None
    pid: str | None = None
    ipc: str | None = None
    uts: str | None = None
    userns: str | None = None
    hostname: str | None = None
    readonly: bool | None = None
    masked_paths: Strings | None = _yaml_key("maskedPaths")
    readonly_paths: Strings | None = _yaml_key("readonlyPaths")
    uid: Id | None = None
    gid: Id | None = None
    additional_gids: tuple[Id, ...] | None = _yaml_key("additionalGids")
    no_new_privileges: bool | None = _yaml_key("noNewPrivileges")
    # One of SECCOMP_WORDS, or the path of a profile.
    seccomp: str | None = None
    # The name of a profile, or `unconfined`.
    apparmor: str | None = None
    oom_score_adj: int | None = _yaml_key("oomScoreAdj")
    rootfs_propagation: str | None = _yaml_key("rootfsPropagation")
    cgroups_path: str | None = _yaml_key("cgroupsPath")
    # The `linux.resources` object of the OCI runtime specification; the schema checks it.
    resources: Mapping[str, Any] | None = None
    sysctl: Mapping[str, str] | None = None
    rlimits: Strings | None = None
    uid_mappings: tuple[IdMapping, ...] | None = _yaml_key("uidMappings")
    gid_mappings: tuple[IdMapping, ...] | None = _yaml_key("gidMappings")
    annotations: Mapping[str, str] | None = None
    runtime: Runtime | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container(ContainerSpec):
    """A container of onboot, onshutdown or services."""

    name: str
    image: str
    # The content of the file that `seccomp` names, and the paths where it was searched.
    seccomp_profile: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    seccomp_candidates: tuple[Path, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TrustSection:
    """The section `trust` of old files, which has no effect."""

    image: Strings | None = None
    org: Strings | None = None
    positions: Positions = _positions_field()


@dataclass(frozen=True, slots=True)
class Config:
    """The config: the content of all image.yml files of a build, merged."""

    kernel: Kernel | None = None
    init: Strings = ()
    volumes: tuple[Volume, ...] = ()
    onboot: tuple[Container, ...] = ()
    onshutdown: tuple[Container, ...] = ()
    services: tuple[Container, ...] = ()
    files: tuple[RootfsFile, ...] = ()
    firewall: Firewall | None = None
    verified: Verified | None = None
    disk: DiskSection | None = None
    trust: TrustSection | None = None
    positions: Positions = _positions_field()
