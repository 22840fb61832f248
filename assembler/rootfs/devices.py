"""Devices of a container, and the device rules of its cgroup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.rootfs.diagnostic_collector import DiagnosticCollector

if TYPE_CHECKING:
    from assembler.config import Device
    from assembler.rootfs.container_settings import ContainerSettings
    from assembler.rootfs.json_rendering import JsonObject

_MODE = re.compile(r"[0-7]+")
# Not a path: it allows all devices of the type.
_EVERY = "all"


def devices(settings: ContainerSettings) -> list[JsonObject]:
    """Return the device nodes that the runtime creates."""
    findings, found = DiagnosticCollector(), []
    for device in settings.spec.devices or ():
        with findings.collect():
            _check(settings, device)
            if device.path != _EVERY:
                found.append(
                    {
                        "path": device.path,
                        "type": device.type or "",
                        "major": device.major or 0,
                        "minor": device.minor or 0,
                        "fileMode": _mode(settings, device),
                    }
                )
    findings.raise_errors()
    return found


def rules(settings: ContainerSettings) -> list[JsonObject]:
    """Return the cgroup rules that allow the devices."""
    found: list[JsonObject] = []
    for device in settings.spec.devices or ():
        rule: JsonObject = {"allow": True}
        if device.type:
            rule["type"] = device.type
        if device.path != _EVERY:
            rule |= {"major": device.major or 0, "minor": device.minor or 0}
        found.append(rule | {"access": "rwm"})
    return found


def _check(settings: ContainerSettings, device: Device) -> None:
    path = device.path or ""
    if not path:
        message = "a device has no path"
        raise settings.error(rootfs.BAD_DEVICE, message, place=device.positions.place)
    for name, number in (("major", device.major), ("minor", device.minor)):
        if number is not None and not 0 <= number < 1 << 32:
            message = f"device {path}: {name} is {number}"
            raise settings.error(rootfs.BAD_DEVICE, message, place=device.positions.place_of(name))


def _mode(settings: ContainerSettings, device: Device) -> int:
    text = device.mode or ""
    if not _MODE.fullmatch(text) or int(text, 8) > 0o7777:
        what = f"{text!r} is not a mode" if text else "the mode is missing"
        hint = 'a mode is octal text, as mode: "0660"'
        message = f"device {device.path}: {what}"
        raise settings.error(
            rootfs.BAD_DEVICE, message, hint, place=device.positions.place_of("mode")
        )
    return int(text, 8)
