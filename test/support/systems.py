"""Plans for tests: from YAML, with the images of the conformance cases."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.config import load_config_inputs, parse_label, render_metadata
from assembler.config.inputs import ConfigInput
from assembler.config.loader import LoadOptions
from assembler.errors import ImageError
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image
from assembler.rootfs import ImageRole, PlanOptions, ResolvedImages, find_required_images, make_plan
from assembler.rootfs.plan import GeneratedEntry, GeneratedPart, Plan

if TYPE_CHECKING:
    from assembler.config.model import Config


def loaded(*texts: str) -> Config:
    """Return the configuration that the texts of YAML files make."""
    inputs = [
        ConfigInput(f"image{n or ''}.yml", text.encode(), Path()) for n, text in enumerate(texts)
    ]
    return load_config_inputs(inputs, LoadOptions(check_sources=False)).config


def resolved(config: Config, store: Store, architecture: str = "amd64") -> ResolvedImages:
    """Look all images up in the store, as a build does."""
    images, layouts = {}, {}
    for need in find_required_images(config):
        if need.role is ImageRole.LAYOUT:
            entry = store.names().named(str(need.reference))[0]
            layouts[need.reference] = entry.descriptor
        else:
            platform = Platform("linux", architecture)
            try:
                images[need.reference] = find_image(store, need.reference, platform)
            except ImageError as error:
                raise error.with_place(need.place) from error
    return ResolvedImages(images, store.read, layouts)


def planned(config: Config, store: Store, **changes: Any) -> Plan:
    """Plan with the options of a build, some of them changed."""
    architecture = changes.pop("architecture", "amd64")
    names = {c.name for c in (*config.onboot, *config.onshutdown, *config.services)}
    options = PlanOptions(
        architecture,
        metadata=lambda form: render_metadata(config, form, _full_name).encode(),
        read_label=partial(parse_label, names=names),
    )
    return make_plan(config, resolved(config, store, architecture), replace(options, **changes))


def made(plan: Plan) -> dict[str, GeneratedEntry]:
    """Return what the plan makes itself; of a path the last entry, as after unpacking."""
    return {e.path: e for p in plan.parts if isinstance(p, GeneratedPart) for e in p.entries}


def _full_name(text: str) -> str:
    return str(Reference.parse(text))
