"""Small OCI and Docker images, made by hand and put into stores, for tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.oci import media_types
from assembler.oci.manifest import Descriptor
from assembler.oci.platform import Platform

if TYPE_CHECKING:
    from assembler.oci.store import Store

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")

_DOCKER = {
    media_types.OCI_MANIFEST: media_types.DOCKER_MANIFEST,
    media_types.OCI_INDEX: media_types.DOCKER_INDEX,
    media_types.OCI_CONFIG: media_types.DOCKER_CONFIG,
    media_types.OCI_LAYER_GZIP: media_types.DOCKER_LAYER_GZIP,
}


def tree(files: Mapping[str, bytes]) -> bytes:
    """Return a tar of regular files, the same bytes every time."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def packed(data: bytes, compression: str = "gzip") -> tuple[bytes, str]:
    """Return a layer's bytes and OCI's media type for it."""
    if compression == "gzip":
        return gzip.compress(data, 6, mtime=0), media_types.OCI_LAYER_GZIP
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor().compress(data), media_types.OCI_LAYER_ZSTD
    return data, media_types.OCI_LAYER


@dataclass(frozen=True)
class Painter:
    """Puts images into a store, with OCI's or Docker's media types."""

    store: Store
    docker: bool = False
    compression: str = "gzip"

    def image(
        self,
        files: Mapping[str, bytes] | Sequence[Mapping[str, bytes]],
        platform: Platform | None = AMD64,
        labels: Mapping[str, str] | None = None,
    ) -> Descriptor:
        """Add an image of one layer, or several, and return its manifest's descriptor."""
        stack = [files] if isinstance(files, Mapping) else list(files)
        layers, diffs = [], []
        for content in stack:
            tar = tree(content)
            diffs.append("sha256:" + hashlib.sha256(tar).hexdigest())
            data, kind = packed(tar, self.compression)
            layers.append(self.store.add_bytes(data, self._kind(kind)))
        config: dict[str, Any] = {
            "config": {"Cmd": ["/bin/true"], "Labels": dict(labels or {})},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        }
        if platform is not None:
            config |= {"os": platform.os, "architecture": platform.architecture}
            if platform.variant:
                config["variant"] = platform.variant
        kind = self._kind(media_types.OCI_MANIFEST)
        document = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": self._add(config, self._kind(media_types.OCI_CONFIG)).as_json(),
            "layers": [layer.as_json() for layer in layers],
        }
        return self._add(document, kind, platform)

    def index(
        self,
        *manifests: Descriptor,
        annotations: Mapping[str, str] | None = None,
    ) -> Descriptor:
        """Add an index of images or further indexes."""
        kind = self._kind(media_types.OCI_INDEX)
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": kind,
            "manifests": [m.as_json() for m in manifests],
        }
        if annotations:
            document["annotations"] = dict(annotations)
        return self._add(document, kind)

    def _add(
        self, document: Mapping[str, Any], kind: str, platform: Platform | None = None
    ) -> Descriptor:
        data = json.dumps(document).encode()
        added = self.store.add_bytes(data, kind)
        return Descriptor(kind, added.digest, added.size, platform)

    def _kind(self, kind: str) -> str:
        return _DOCKER.get(kind, kind) if self.docker else kind
