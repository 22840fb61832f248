"""The root filesystem as an image with one layer, in the store."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from assembler.content import FileRange
from assembler.encode import Compression
from assembler.formats.docker import ENTRYPOINT
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.formats.written_output import Output
from assembler.oci import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Descriptor,
    Reference,
)
from assembler.rootfs import STANDARD_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.encode import Assembly

_MEDIA_TYPES = {
    "gzip": OCI_LAYER_GZIP,
    "zstd": OCI_LAYER_ZSTD,
    "none": OCI_LAYER,
}


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    reference = Reference.parse(options.image_name or target.name)
    compression = assembly.options.compression
    if compression.codec not in _MEDIA_TYPES:
        # OCI defines fewer codecs than kernels read.
        compression = Compression()
    layer = _TreeLayer(assembly, compression)
    store = assembly.store
    with store.in_use():
        blob = store.add_stream(layer.chunks(), _MEDIA_TYPES[compression.codec])
        config = store.add_bytes(
            _json_bytes(_image_config(assembly.plan.architecture, layer.digest)),
            OCI_CONFIG,
        )
        manifest = store.add_bytes(_json_bytes(_image_manifest(config, blob)), OCI_MANIFEST)
        store.put(reference, manifest)
    return [Output("oci", "image", blob.size, reference=str(reference), digest=manifest.digest)]


class _TreeLayer:
    """The tree as a compressed stream, with the digest of its uncompressed bytes."""

    def __init__(self, assembly: Assembly, compression: Compression) -> None:
        self._assembly = assembly
        self._compression = compression
        self._hasher = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Return the diff ID, once all chunks have been yielded."""
        return "sha256:" + self._hasher.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        stream = self._compression.start()
        for piece in self._assembly.tree():
            for data in piece.chunks() if isinstance(piece, FileRange) else (piece,):
                self._hasher.update(data)
                if out := stream.compress(data):
                    yield out
        yield stream.flush()


def _image_config(architecture: str, diff_id: str) -> dict[str, object]:
    created = datetime.fromtimestamp(STANDARD_TIME, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": [ENTRYPOINT]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "dolmen build"}],
    }


def _image_manifest(config: Descriptor, layer: Descriptor) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.as_json(),
        "layers": [layer.as_json()],
    }


def _json_bytes(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


FORMAT = Format(
    name="oci",
    write=_write,
    needs=Needs(tree=True),
)
