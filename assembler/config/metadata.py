"""The merged configuration as text: the files `metadata: …`, and image.yml again."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

from assembler.config.converting import yaml_fields
from assembler.config.emitting import emit
from assembler.config.merging import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.config.model import Config, Spec

_SECTIONS = ("init", "onboot", "onshutdown", "services", "files", "volumes")


def render_metadata(
    config: Config, form: str, full_name: Callable[[str], str] = lambda name: name
) -> str:
    """Return the content of a file with `metadata: json` or `metadata: yaml`.

    It has all sections, also the empty ones; `full_name` makes the names of images whole, except
    those of volumes, which stay as they were written. It can be read as an image.yml again.
    """
    whole: dict[str, Any] = {"kernel": {}}
    if config.kernel is not None:
        whole["kernel"] = _plain(config.kernel)
        if config.kernel.image:
            whole["kernel"]["image"] = full_name(config.kernel.image)
    for section in _SECTIONS:
        whole[section] = _plain(getattr(config, section))
    whole["init"] = [full_name(name) for name in config.init]
    for section in ("onboot", "onshutdown", "services"):
        for container in whole[section]:
            container["image"] = full_name(container["image"])
            for device in container.get("devices", ()):
                # As LinuxKit writes them: a device's numbers are there even if nobody gave them.
                device.setdefault("major", 0)
                device.setdefault("minor", 0)
    whole["files"] = [_with_switches(file) for file in whole["files"]]
    if form == "json":
        return json.dumps(whole, indent=4, ensure_ascii=False)
    return emit(whole)


def render_yaml(config: Config) -> str:
    """Return the merged configuration as an image.yml: what was given, and nothing else."""
    whole: dict[str, Any] = {}
    if config.kernel is not None:
        whole["kernel"] = _plain(config.kernel)
    for section in SECTIONS:
        if getattr(config, section):
            whole[section] = _plain(getattr(config, section))
    return emit(whole)


def label_json(spec: Spec) -> str:
    """Return what stands in the label of an image, so that `parse_label` reads it again."""
    return json.dumps(_plain(spec), separators=(",", ":"), ensure_ascii=False)


def _with_switches(file: dict[str, Any]) -> dict[str, Any]:
    """Give a file its two switches, which are always written, in their places."""
    made: dict[str, Any] = {"path": file.get("path", ""), "directory": False}
    for key, value in file.items():
        if key in ("mode", "uid", "gid") and "optional" not in made:
            made["optional"] = file.get("optional", False)
        made[key] = value
    made.setdefault("optional", False)
    return made


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of the model
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((key, getattr(value, f.name)) for key, f in yaml_fields(type(value)))
        return {key: _plain(v) for key, v in pairs if v is not None}
    return value
