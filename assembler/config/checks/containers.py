"""The checks of a container's settings, in a file or in the label of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.checks.limits import check_capabilities, check_rlimits
from assembler.config.checks.mounts import check_binds, check_mounts, check_tmpfs
from assembler.config.checks.ports import check_port
from assembler.config.diagnostics import error, warning
from assembler.config.messages import shorten
from assembler.config.model import SECCOMP_WORDS
from assembler.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.checks.names import KnownNames
    from assembler.config.model import ContainerSpec, Device
    from assembler.diagnostics import Diagnostic

_NAMESPACES = ("net", "pid", "ipc", "uts", "userns")
_KEYWORDS = ("new", "host", "root")
_PROPAGATION = tuple(r + p for p in ("private", "slave", "shared", "unbindable") for r in ("", "r"))


def check_container_spec(spec: ContainerSpec, known: KnownNames) -> Iterator[Diagnostic]:
    """Check everything except IDs and the name."""
    yield from check_capabilities(spec)
    yield from check_rlimits(spec)
    yield from check_binds(spec, known)
    yield from check_tmpfs(spec)
    yield from check_mounts(spec, known)
    for index, device in enumerate(spec.devices or ()):
        yield from _check_device(device, spec, index)
    for port in spec.expose or ():
        yield from check_port(port)
    yield from _check_namespaces(spec)
    yield from _check_other_keys(spec)


def check_label_spec(spec: ContainerSpec) -> Iterator[Diagnostic]:
    """Check what only a YAML file can say: the path of a profile."""
    if spec.seccomp is not None and spec.seccomp not in SECCOMP_WORDS:
        yield error(
            codes.BAD_SECCOMP,
            f"`seccomp` in a label cannot be {shorten(spec.seccomp)!r}",
            spec.positions.place_of("seccomp"),
            did_you_mean(spec.seccomp, SECCOMP_WORDS)
            or f"a label has no files; possible values: {', '.join(SECCOMP_WORDS)}",
        )


def _check_device(device: Device, spec: ContainerSpec, index: int) -> Iterator[Diagnostic]:
    place = spec.positions.place_of("devices", index)
    if device.path == "all":
        return
    if not device.path:
        yield error(codes.BAD_DEVICE, "the device has no path", place, "such as path: /dev/console")
        return
    if not device.mode and ("mode" not in device.positions.children or device.mode is not None):
        yield error(
            codes.BAD_DEVICE,
            f"the device {shorten(device.path)} has no mode",
            device.positions.place_of("path"),
            'set its permissions: mode: "0600"',
        )
    if not device.path.startswith("/"):
        yield warning(
            codes.SUSPICIOUS_VALUE,
            f"the device's path {shorten(device.path)!r} is not absolute",
            device.positions.place_of("path"),
            "such as path: /dev/console",
        )
    if device.type not in ("c", "b", "u", "p") and "type" in device.positions.children:
        yield warning(
            codes.SUSPICIOUS_VALUE,
            f"{shorten(device.type or '')!r} is not a device type",
            device.positions.place_of("type"),
            "c is a character device, b a block device",
        )


def _check_namespaces(spec: ContainerSpec) -> Iterator[Diagnostic]:
    for key in _NAMESPACES:
        value: str | None = getattr(spec, key)
        keywords = (*_KEYWORDS, "none") if key == "net" else _KEYWORDS
        if value and value not in keywords and not value.startswith("/"):
            yield warning(
                codes.SUSPICIOUS_VALUE,
                f"`{key}`: {shorten(value)!r} is taken as the path of a namespace",
                spec.positions.place_of(key),
                did_you_mean(value, keywords)
                or f"keywords: {', '.join(keywords)}; a path begins with /",
            )


def _check_other_keys(spec: ContainerSpec) -> Iterator[Diagnostic]:
    if spec.cwd and not spec.cwd.startswith("/"):
        yield warning(
            codes.SUSPICIOUS_VALUE,
            f"the working directory {shorten(spec.cwd)!r} is not absolute",
            spec.positions.place_of("cwd"),
            f"write /{spec.cwd.lstrip('./')}",
        )
    if spec.rootfs_propagation and spec.rootfs_propagation not in _PROPAGATION:
        yield warning(
            codes.SUSPICIOUS_VALUE,
            f"{shorten(spec.rootfs_propagation)!r} is not a mount propagation",
            spec.positions.place_of("rootfsPropagation"),
            did_you_mean(spec.rootfs_propagation, _PROPAGATION)
            or f"possible values: {', '.join(_PROPAGATION)}",
        )
    for index, variable in enumerate(spec.env or ()):
        if "=" not in variable[1:]:
            yield warning(
                codes.SUSPICIOUS_VALUE,
                f"{shorten(variable)!r} is not NAME=VALUE",
                spec.positions.place_of("env", index),
                f"write {shorten(variable)}=" if variable else "",
            )
    resources = spec.positions.children.get("resources")
    if resources is not None and {"blockio", "blockIO"} <= set(resources.children):
        yield error(
            codes.DUPLICATE_KEY,
            "`blockIO` and `blockio` are the same key",
            resources.lookup("blockIO").key,
            related=("it was first used here", resources.lookup("blockio").key),
        )
