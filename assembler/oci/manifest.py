"""Descriptors, indexes, manifests and image configs, read from JSON that may be hostile."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.codes import images
from assembler.errors import ImageError
from assembler.oci import media_types
from assembler.oci.digest import require_digest
from assembler.oci.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The limit of registries; no real manifest or config is larger.
MAX_MANIFEST_SIZE = 8 << 20
_LARGEST_BLOB = 1 << 46


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Media type, digest and size of a blob."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_index(self) -> bool:
        """Tell whether it describes an index."""
        return self.media_type in media_types.INDEXES

    @property
    def is_manifest(self) -> bool:
        """Tell whether it describes the manifest of a single image."""
        return self.media_type in media_types.MANIFESTS

    @property
    def attested_digest(self) -> str:
        """Return the digest of the manifest that this one attests, or nothing."""
        if self.annotations.get(media_types.ATTESTATION) != media_types.ATTESTATION_MANIFEST:
            return ""
        return self.annotations.get(media_types.ATTESTED_DIGEST, "")

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object of the descriptor."""
        out: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.platform is not None:
            out["platform"] = platform_json(self.platform)
        if self.annotations:
            out["annotations"] = dict(sorted(self.annotations.items()))
        return out


@dataclass(frozen=True, slots=True)
class Manifest:
    """A single image: its config and its layers, lowest first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    subject: Descriptor | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """Several images under one name, or further indexes."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The part of an image's config that describes its containers."""

    platform: Platform
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    # As in EXPOSE of a Dockerfile, such as 80/tcp.
    exposed_ports: tuple[str, ...] = ()


def parse_manifest(data: bytes, what: str, media_type: str = "") -> Index | Manifest:
    """Parse a manifest or an index; `what` names it in errors."""
    doc = _object(data, what)
    kind = doc.get("mediaType") or media_type
    if not isinstance(kind, str):
        raise _broken(what, "its mediaType is not text")
    if kind in media_types.INDEXES or (kind not in media_types.MANIFESTS and "manifests" in doc):
        items = _list(doc, "manifests", what)
        return Index(
            kind or media_types.OCI_INDEX,
            tuple(parse_descriptor(d, f"{what}, manifests[{i}]") for i, d in enumerate(items)),
            _texts(doc, "annotations", what),
        )
    if doc.get("schemaVersion") == 1 or "fsLayers" in doc:
        raise _broken(what, "it is of schema version 1, which is too old")
    layers = _list(doc, "layers", what)
    return Manifest(
        kind or media_types.OCI_MANIFEST,
        parse_descriptor(doc.get("config"), f"{what}, config"),
        tuple(parse_descriptor(d, f"{what}, layers[{i}]") for i, d in enumerate(layers)),
        _texts(doc, "annotations", what),
        parse_descriptor(doc["subject"], f"{what}, subject") if doc.get("subject") else None,
    )


def parse_image_config(data: bytes, what: str) -> ImageConfig:
    """Parse an image's config."""
    doc = _object(data, what)
    inner = doc.get("config") or {}
    if not isinstance(inner, dict):
        raise _broken(what, "config is not a map")
    return ImageConfig(
        platform=_platform(doc, what),
        entrypoint=_words(inner, "Entrypoint", what),
        cmd=_words(inner, "Cmd", what),
        env=_words(inner, "Env", what),
        working_dir=_text(inner, "WorkingDir", what),
        user=_text(inner, "User", what),
        labels=_texts(inner, "Labels", what),
        created=_text(doc, "created", what),
        exposed_ports=_exposed_ports(inner),
    )


def _exposed_ports(doc: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ports; of anything else a firewall opens none."""
    ports = doc.get("ExposedPorts")
    return tuple(sorted(map(str, ports))) if isinstance(ports, dict) else ()


def parse_descriptor(doc: object, what: str) -> Descriptor:
    """Parse a descriptor; its digest is then a safe file name."""
    if not isinstance(doc, dict):
        raise _broken(what, "there is no descriptor")
    size = doc.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _LARGEST_BLOB:
        raise _broken(what, f"its size is {size!r}")
    platform = doc.get("platform")
    if platform is not None and not isinstance(platform, dict):
        raise _broken(what, "platform is not a map")
    return Descriptor(
        _text(doc, "mediaType", what),
        require_digest(doc.get("digest"), f"the digest of {what}"),
        size,
        _platform(platform, what) if platform else None,
        _texts(doc, "annotations", what),
    )


def platform_json(platform: Platform) -> dict[str, str]:
    """Return the JSON object of a platform."""
    out = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        out["variant"] = platform.variant
    return out


def _platform(doc: Mapping[str, Any], what: str) -> Platform:
    return Platform(
        _text(doc, "os", what) or "linux",
        _text(doc, "architecture", what),
        _text(doc, "variant", what),
    )


def _object(data: bytes, what: str) -> dict[str, Any]:
    if len(data) > MAX_MANIFEST_SIZE:
        raise _broken(what, f"it is larger than {MAX_MANIFEST_SIZE >> 20} MiB")
    try:
        doc = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _broken(what, "it is not JSON") from error
    if not isinstance(doc, dict):
        raise _broken(what, "it is not a JSON object")
    return doc


def _list(doc: Mapping[str, Any], key: str, what: str) -> Sequence[Any]:
    value = doc.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _broken(what, f"{key} is not a list")
    return value


def _words(doc: Mapping[str, Any], key: str, what: str) -> tuple[str, ...]:
    items = _list(doc, key, what)
    if not all(isinstance(i, str) for i in items):
        raise _broken(what, f"{key} holds something that is not text")
    return tuple(items)


def _text(doc: Mapping[str, Any], key: str, what: str) -> str:
    value = doc.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _broken(what, f"{key} is not text")
    return value


def _texts(doc: Mapping[str, Any], key: str, what: str) -> dict[str, str]:
    value = doc.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise _broken(what, f"{key} is not a map of texts")
    return value


def _broken(what: str, why: str) -> ImageError:
    return ImageError.of(images.BAD_MANIFEST, f"{what}: {why}")
