"""What goes into an image, written down on it, and compared with what would go in now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.oci.image import Image

# On the manifest of every image that is made of a package: JSON, a text for each input.
INPUTS_ANNOTATION = "dolmen.inputs"
BUILDER_INPUT = "builder"
_IMAGE = "image "
# What differs from commit to commit while the package is the same.
_OF_NO_ACCOUNT = frozenset(
    {"argument REVISION", "argument GOPKGVERSION", "argument SOURCE_DATE_EPOCH"}
)


def inputs_annotation(inputs: Mapping[str, str]) -> str:
    """Return inputs in the form that is put on images."""
    return json.dumps(dict(inputs), sort_keys=True, ensure_ascii=False)


def read_recorded_inputs(image: Image) -> dict[str, str] | None:
    """Return the inputs that stand on an image; nothing if it does not tell."""
    try:
        found = json.loads(image.manifest.annotations.get(INPUTS_ANNOTATION, ""))
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return {str(key): str(value) for key, value in found.items()}


def changed_inputs(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of inputs that are not what they were.

    An image that a Dockerfile begins with counts only where both sides know it: what is not in the
    store is not fetched to be compared. So does the builder, which is whatever a machine has
    unless somebody asks for one; its version never counts.
    """
    names = sorted((before.keys() | now.keys()) - _OF_NO_ACCOUNT)
    return tuple(name for name in names if _differs(name, before.get(name), now.get(name)))


def _differs(name: str, before: str | None, now: str | None) -> bool:
    if before is None or now is None:
        return before != now and name != BUILDER_INPUT and not name.startswith(_IMAGE)
    if name == BUILDER_INPUT:
        return before.partition(" ")[0] != now.partition(" ")[0]
    return before != now
