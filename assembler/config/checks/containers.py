"""What can be said of a container, in a file or in the label of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import config as codes
from assembler.config.checks.limits import check_capabilities, check_rlimits
from assembler.config.checks.mounts import check_binds, check_mounts, check_tmpfs
from assembler.config.findings import error, meant, warning
from assembler.config.messages import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config.checks.names import Known
    from assembler.config.model import Device, Spec
    from assembler.diagnostics import Diagnostic

_NAMESPACES = ("net", "pid", "ipc", "uts", "userns")
_WORDS = ("new", "host", "root")
_PROPAGATION = tuple(r + p for p in ("private", "slave", "shared", "unbindable") for r in ("", "r"))


def check_spec(spec: Spec, known: Known) -> Iterator[Diagnostic]:
    """Check everything but ids and the name."""
    yield from check_capabilities(spec)
    yield from check_rlimits(spec)
    yield from check_binds(spec, known)
    yield from check_tmpfs(spec)
    yield from check_mounts(spec, known)
    for index, device in enumerate(spec.devices or ()):
        yield from _device(device, spec, index)
    yield from _namespaces(spec)
    yield from _others(spec)


def _device(device: Device, spec: Spec, index: int) -> Iterator[Diagnostic]:
    place = spec.at.of("devices", index)
    if device.path == "all":
        return
    if not device.path:
        yield error(codes.BAD_DEVICE, "a device needs a path", place, "as path: /dev/console")
        return
    if not device.mode and ("mode" not in device.at.children or device.mode is not None):
        yield error(
            codes.BAD_DEVICE,
            f"the device {shortened(device.path)} has no mode",
            device.at.of("path"),
            'give its permissions: mode: "0600"',
        )
    if not device.path.startswith("/"):
        yield warning(
            codes.DOUBTFUL,
            f"the device's path {shortened(device.path)!r} is not absolute",
            device.at.of("path"),
            "as path: /dev/console",
        )
    if device.type not in ("c", "b", "u", "p") and "type" in device.at.children:
        yield warning(
            codes.DOUBTFUL,
            f"{shortened(device.type or '')!r} is no type of device",
            device.at.of("type"),
            "c is a character device, b a block device",
        )


def _namespaces(spec: Spec) -> Iterator[Diagnostic]:
    for key in _NAMESPACES:
        value: str | None = getattr(spec, key)
        words = (*_WORDS, "none") if key == "net" else _WORDS
        if value and value not in words and not value.startswith("/"):
            yield warning(
                codes.DOUBTFUL,
                f"`{key}` takes {shortened(value)!r} for the path of a namespace",
                spec.at.of(key),
                meant(value, words) or f"{', '.join(words)} have a meaning; a path begins with /",
            )


def _others(spec: Spec) -> Iterator[Diagnostic]:
    if spec.cwd and not spec.cwd.startswith("/"):
        yield warning(
            codes.DOUBTFUL,
            f"the working directory {shortened(spec.cwd)!r} is not absolute",
            spec.at.of("cwd"),
            f"write /{spec.cwd.lstrip('./')}",
        )
    if spec.rootfs_propagation and spec.rootfs_propagation not in _PROPAGATION:
        yield warning(
            codes.DOUBTFUL,
            f"{shortened(spec.rootfs_propagation)!r} is no kind of mount propagation",
            spec.at.of("rootfsPropagation"),
            meant(spec.rootfs_propagation, _PROPAGATION) or f"known: {', '.join(_PROPAGATION)}",
        )
    for index, variable in enumerate(spec.env or ()):
        if "=" not in variable[1:]:
            yield warning(
                codes.DOUBTFUL,
                f"{shortened(variable)!r} is not NAME=VALUE",
                spec.at.of("env", index),
                f"write {shortened(variable)}=" if variable else "",
            )
    resources = spec.at.children.get("resources")
    if resources is not None and {"blockio", "blockIO"} <= set(resources.children):
        yield error(
            codes.DUPLICATE_KEY,
            "`blockIO` and `blockio` are the same key",
            resources.within("blockIO").key,
            first=("it was first used here", resources.within("blockio").key),
        )
