"""What a builder has made, as an image of ours: its layers under a config with our labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assembler.dockerfile.bases import layers_of
from assembler.oci import (
    Platform,
    WrittenImage,
    add_image_with_config,
    format_timestamp,
    platform_json,
)

if TYPE_CHECKING:
    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.stages import Plan
    from assembler.oci import Store, WrittenLayer

# Of a step of the history; the rest names the build's own directory, or the machine.
_OF_HISTORY = ("created", "created_by", "empty_layer")


def known_layers(store: Store, ingredients: BuildInputs) -> dict[str, WrittenLayer]:
    """Return the layers of the bases by the digest of their content: they need not be taken."""
    images = ingredients.bases.images.values()
    return {layer.diff_id: layer for image in images for layer in layers_of(store, image)}


def finished(
    store: Store,
    plan: Plan,
    ingredients: BuildInputs,
    layers: Sequence[WrittenLayer],
    config: Mapping[str, Any],
) -> WrittenImage:
    """Put an image into the store, of layers that are there and of the config a builder gave.

    What is of chance in the config stays behind: the times of steps, and names of containers.
    """
    target = plan.arguments.target
    platform = Platform.parse(plan.target.platform) if plan.target.platform else target
    inner = dict(config.get("config") or {})
    labels = {**(inner.get("Labels") or {}), **ingredients.labels}
    if labels:
        inner["Labels"] = labels
    created = format_timestamp(ingredients.time)
    history = [h for h in config.get("history") or [] if isinstance(h, dict)]
    document = {
        **platform_json(platform),
        "created": created,
        "config": {key: value for key, value in inner.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{k: v for k, v in h.items() if k in _OF_HISTORY} for h in history],
    }
    return WrittenImage(
        add_image_with_config(store, layers, document, platform, ingredients.annotations)
    )
