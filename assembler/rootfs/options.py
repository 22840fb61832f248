"""What the planning stage needs to know besides the configuration: images and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assembler.config.model import ContainerSpec
from assembler.oci import Descriptor, Image, Reference


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the names in the configuration were resolved to; all of it is in the store."""

    # Every image that is laid out, for the platform of the build.
    images: Mapping[Reference, Image]
    # Reads a document (manifest, index) of the store; the text names it in errors.
    read: Callable[[Descriptor, str], bytes]
    # What the names of volumes of format oci stand for: an index, or a single manifest.
    layouts: Mapping[Reference, Descriptor] = field(default_factory=dict)


def _no_metadata(kind: str) -> bytes:
    raise NotImplementedError(f"no renderer of {kind} metadata was given")


def _no_label(text: str, image: str) -> ContainerSpec | None:
    raise NotImplementedError(f"no reader was given for the label {text[:20]!r} of {image} ")


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How to plan."""

    architecture: str
    decompress_kernel: bool = False
    # For sources of `files` that loading did not find: where they start, and what ~ means.
    directory: Path = Path()
    home: Path | None = None
    # Renders the whole configuration for `metadata: json` or `metadata: yaml`.
    metadata: Callable[[str], bytes] = _no_metadata
    # Reads an image's label; `config.parse_label` does.
    read_label: Callable[[str, str], ContainerSpec | None] = _no_label
