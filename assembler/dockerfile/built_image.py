"""The image that a builder has built, imported into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assembler.dockerfile.base_images import image_layers
from assembler.oci import (
    Platform,
    WrittenImage,
    add_image_with_config,
    format_timestamp,
    platform_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.oci import Store, WrittenLayer

# The keys of a history entry that are kept; others name the build's directory or the machine.
_HISTORY_KEYS = ("created", "created_by", "empty_layer")


def base_layers(store: Store, inputs: BuildInputs) -> dict[str, WrittenLayer]:
    """Return the layers of the base images by diff ID; the store has them already."""
    images = inputs.base_images.images.values()
    return {layer.diff_id: layer for image in images for layer in image_layers(store, image)}


def add_built_image(
    store: Store,
    plan: DockerfilePlan,
    inputs: BuildInputs,
    layers: Sequence[WrittenLayer],
    config: Mapping[str, Any],
) -> WrittenImage:
    """Put an image into the store, with layers that it has and the config of a builder.

    Parts of the config that differ between builds are left out: times and names of containers.
    """
    target = plan.arguments.target
    platform = Platform.parse(plan.target.platform) if plan.target.platform else target
    values = dict(config.get("config") or {})
    labels = {**(values.get("Labels") or {}), **inputs.labels}
    if labels:
        values["Labels"] = labels
    created = format_timestamp(inputs.time)
    history = [h for h in config.get("history") or [] if isinstance(h, dict)]
    document = {
        **platform_json(platform),
        "created": created,
        "config": {key: value for key, value in values.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{k: v for k, v in h.items() if k in _HISTORY_KEYS} for h in history],
    }
    return WrittenImage(
        add_image_with_config(store, layers, document, platform, inputs.annotations)
    )
