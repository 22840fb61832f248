"""The merged config as text: the files `metadata: …`, image.yml, and the label of an image."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

from assembler.config.conversion import yaml_fields
from assembler.config.emitter import emit_yaml
from assembler.config.merge import SECTIONS
from assembler.config.model import ExposedPort, Verified

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.config.model import Config, ContainerSpec

_SECTIONS = ("init", "onboot", "onshutdown", "services", "files", "volumes")


def render_metadata(
    config: Config, form: str, full_name: Callable[[str], str] = lambda name: name
) -> str:
    """Return the content of a file with `metadata: json` or `metadata: yaml`.

    It has all sections, including empty ones, and is a valid image.yml. `full_name` completes the
    image names, except those of volumes.
    """
    whole: dict[str, Any] = {"kernel": {}}
    if config.kernel is not None:
        whole["kernel"] = _plain_data(config.kernel)
        if config.kernel.image:
            whole["kernel"]["image"] = full_name(config.kernel.image)
    for section in _SECTIONS:
        whole[section] = _plain_data(getattr(config, section))
    whole["init"] = [full_name(name) for name in config.init]
    for section in ("onboot", "onshutdown", "services"):
        for container in whole[section]:
            container["image"] = full_name(container["image"])
            for device in container.get("devices", ()):
                # LinuxKit always writes the numbers of a device.
                device.setdefault("major", 0)
                device.setdefault("minor", 0)
    whole["files"] = [_with_booleans(file) for file in whole["files"]]
    whole |= _own_sections(config)
    if form == "json":
        return json.dumps(whole, indent=4, ensure_ascii=False)
    return emit_yaml(whole)


def render_config(config: Config) -> str:
    """Return the merged config as an image.yml that has only the keys of its inputs."""
    whole: dict[str, Any] = {}
    if config.kernel is not None:
        whole["kernel"] = _plain_data(config.kernel)
    for section in SECTIONS:
        if getattr(config, section):
            whole[section] = _plain_data(getattr(config, section))
    whole |= _own_sections(config)
    return emit_yaml(whole)


def render_label(spec: ContainerSpec) -> str:
    """Return the text of an image's label; `parse_label` is the inverse."""
    return json.dumps(_plain_data(spec), separators=(",", ":"), ensure_ascii=False)


def _own_sections(config: Config) -> dict[str, Any]:
    """Return the sections that only Dolmen has, as far as they are there."""
    sections = {"firewall": config.firewall, "verified": config.verified, "disk": config.disk}
    return {name: _plain_data(value) for name, value in sections.items() if value is not None}


def _with_booleans(file: dict[str, Any]) -> dict[str, Any]:
    """Add the booleans that LinuxKit always writes, in LinuxKit's order."""
    completed: dict[str, Any] = {"path": file.get("path", ""), "directory": False}
    for key, value in file.items():
        if key in ("mode", "uid", "gid") and "optional" not in completed:
            completed["optional"] = file.get("optional", False)
        completed[key] = value
    completed.setdefault("optional", False)
    return completed


def _plain_data(value: Any) -> Any:  # noqa: ANN401 - any part of the model
    if isinstance(value, tuple):
        return [_plain_data(v) for v in value]
    if isinstance(value, ExposedPort) and value.sources is None:
        return value.port
    if isinstance(value, Verified) and value == Verified(enabled=value.enabled):
        return value.enabled
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((key, getattr(value, f.name)) for key, f in yaml_fields(type(value)))
        return {key: _plain_data(v) for key, v in pairs if v is not None}
    return value
