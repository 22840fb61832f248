"""The image that buildah has built: its new layers are imported into the store."""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any

from assembler.codes import host
from assembler.dockerfile.built_image import add_built_image, base_layers
from assembler.errors import HostError, wrap_os_errors
from assembler.oci import (
    OCI_LAYER,
    Descriptor,
    WrittenImage,
    WrittenLayer,
    add_layer,
    digest_hex,
    is_digest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.oci import Store

_CHUNK = 1 << 20


def import_image(
    store: Store, layout: Path, plan: DockerfilePlan, inputs: BuildInputs
) -> WrittenImage:
    """Import the image that buildah has built; only new layers are compressed."""
    manifest = _read_json(layout / "manifest.json")
    config = _read_json(_blob_path(layout, manifest["config"]["digest"]))
    known = base_layers(store, inputs)
    layers: list[WrittenLayer] = []
    for diff_id, described in zip(config["rootfs"]["diff_ids"], manifest["layers"], strict=True):
        if diff_id in known:
            layers.append(known[diff_id])
            continue
        layer = add_layer(store, _read_layer(layout, described))
        if layer.diff_id != diff_id:
            raise _result_error("a layer does not match its diff ID")
        layers.append(layer)
    return add_built_image(store, plan, inputs, layers, config)


def _read_layer(layout: Path, described: dict[str, Any]) -> Iterator[bytes]:
    descriptor = Descriptor(OCI_LAYER, described["digest"], described["size"])
    if not is_digest(descriptor.digest) or described.get("mediaType") != OCI_LAYER:
        raise _result_error(f"a layer has the media type {described.get('mediaType')}")
    with wrap_os_errors(layout, "read"), _blob_path(layout, descriptor.digest).open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _read_json(path: Path) -> dict[str, Any]:
    with wrap_os_errors(path, "read"):
        found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise _result_error(f"{path.name} is not an object")
    return found


def _blob_path(layout: Path, digest: str) -> Path:
    return layout / posixpath.basename(digest_hex(digest))


def _result_error(why: str) -> HostError:
    return HostError.of(host.TOOL_FAILED, f"invalid image from buildah: {why}")
