"""The inputs of planning besides the config: images and options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assembler.config import ContainerSpec
    from assembler.oci import Descriptor, Image, Reference


@dataclass(frozen=True, slots=True)
class ResolvedImages:
    """The images of the config's references; all of them are in the store."""

    # The images whose trees are used, for the platform of the build.
    images: Mapping[Reference, Image]
    # Reads a document (manifest, index) of the store; the text names it in errors.
    read: Callable[[Descriptor, str], bytes]
    # The index or manifest of each volume of format oci.
    layouts: Mapping[Reference, Descriptor] = field(default_factory=dict)


class LabelReader(Protocol):
    """Parses the label `label` of an image."""

    def __call__(self, text: str, image: str, *, label: str) -> ContainerSpec | None:
        """Return the settings; None if the text is empty."""


def _no_metadata(kind: str) -> bytes:
    raise NotImplementedError(f"no renderer was given for {kind} metadata")


def _no_label(text: str, image: str, *, label: str) -> ContainerSpec | None:
    del label
    raise NotImplementedError(f"no reader was given for the label {text[:20]!r} of {image}")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How to plan."""

    architecture: str
    decompress_kernel: bool = False
    # For sources of `files` without a resolved path: the base directory, and the meaning of ~.
    directory: Path = Path()
    home: Path | None = None
    # Renders the config for `metadata: json` or `metadata: yaml`.
    metadata: Callable[[str], bytes] = _no_metadata
    # Parses an image's label, as `config.parse_label`.
    read_label: LabelReader = _no_label
