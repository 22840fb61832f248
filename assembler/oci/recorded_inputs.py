"""The inputs of a package build, recorded on its image and compared with the current ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.oci.image import Image

# On the manifest of every image built from a package: a JSON object of texts.
INPUTS_ANNOTATION = "dolmen.inputs"
BUILDER_INPUT = "builder"
_IMAGE = "image "
# These differ from commit to commit while the package is the same.
_IGNORED = frozenset({"argument REVISION", "argument GOPKGVERSION", "argument SOURCE_DATE_EPOCH"})


def inputs_annotation(inputs: Mapping[str, str]) -> str:
    """Return inputs as the text of the annotation."""
    return json.dumps(dict(inputs), sort_keys=True, ensure_ascii=False)


def read_recorded_inputs(image: Image) -> dict[str, str] | None:
    """Return the inputs recorded on an image, or None."""
    try:
        inputs = json.loads(image.manifest.annotations.get(INPUTS_ANNOTATION, ""))
    except ValueError:
        return None
    if not isinstance(inputs, dict):
        return None
    return {str(key): str(value) for key, value in inputs.items()}


def changed_inputs(recorded: Mapping[str, str], current: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the inputs that differ.

    A base image counts only if both sides know it: an image that the store lacks is not fetched
    for the comparison. The builder counts only if both sides know it, since each machine has its
    own; its version never counts.
    """
    names = sorted((recorded.keys() | current.keys()) - _IGNORED)
    return tuple(name for name in names if _differs(name, recorded.get(name), current.get(name)))


def _differs(name: str, recorded: str | None, current: str | None) -> bool:
    if recorded is None or current is None:
        return recorded != current and name != BUILDER_INPUT and not name.startswith(_IMAGE)
    if name == BUILDER_INPUT:
        return recorded.partition(" ")[0] != current.partition(" ")[0]
    return recorded != current
