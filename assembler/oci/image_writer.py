"""Writing images into the store: layers, config, manifest, attestations, index.

The bytes depend only on the arguments: no clock, no host name, no random order.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assembler.errors import ImageError
from assembler.oci import media_types
from assembler.oci.manifest import Descriptor, Index, Manifest, parse_manifest, platform_json
from assembler.oci.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from assembler.events import Task
    from assembler.oci.store import ImageNames, Store

_LEVEL = 3
# How many bytes are written between two progress events.
_PROGRESS_STEP = 1 << 20
_DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNKNOWN = Platform("unknown", "unknown")
_STATEMENT = "https://in-toto.io/Statement/v0.1"


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """A layer in the store, and its diff ID."""

    descriptor: Descriptor
    diff_id: str


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """The config of an image without its layers."""

    platform: Platform
    # Seconds since 1970.
    created: int
    history: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    # Of the manifest.
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """An image of one platform in the store, with its attestations."""

    descriptor: Descriptor
    attestations: tuple[Descriptor, ...] = ()


def format_timestamp(seconds: int) -> str:
    """Return a time in the format of RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def canonical_json(data: object) -> bytes:
    """Return data as JSON with sorted keys and no blanks."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def add_layer(store: Store, tar: Iterable[bytes | memoryview]) -> WrittenLayer:
    """Compress a tar into the store, in bounded memory."""
    diff = hashlib.sha256(usedforsecurity=False)
    descriptor = store.add_stream(_compress(tar, diff), media_types.OCI_LAYER_GZIP)
    return WrittenLayer(descriptor, "sha256:" + diff.hexdigest())


def report_progress(
    tar: Iterable[bytes | memoryview], progress: Task
) -> Iterator[bytes | memoryview]:
    """Yield a tar, and report progress, which also lets an interrupted run stop here."""
    since = 0
    for chunk in tar:
        since += len(chunk)
        if since >= _PROGRESS_STEP:
            progress.advance(since)
            since = 0
        yield chunk
    progress.advance(since)


def add_image(store: Store, layers: Sequence[WrittenLayer], settings: ImageSettings) -> Descriptor:
    """Add config and manifest, and return the manifest's descriptor with its platform."""
    inner: dict[str, Any] = {
        "Entrypoint": list(settings.entrypoint),
        "Cmd": list(settings.command),
        "Env": list(settings.env or (_DEFAULT_PATH,)),
        "WorkingDir": settings.workdir,
        "User": settings.user,
        "Labels": dict(settings.labels),
    }
    created = format_timestamp(settings.created)
    document = {
        **platform_json(settings.platform),
        "created": created,
        "config": {key: value for key, value in inner.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": created, "created_by": settings.history} for _ in layers],
    }
    return add_image_with_config(store, layers, document, settings.platform, settings.annotations)


def add_image_with_config(
    store: Store,
    layers: Sequence[WrittenLayer],
    config: Mapping[str, Any],
    platform: Platform,
    annotations: Mapping[str, str],
) -> Descriptor:
    """Add an image with a complete config, and return the manifest's descriptor."""
    added = store.add_bytes(canonical_json(config), media_types.OCI_CONFIG)
    manifest = _manifest(added, [layer.descriptor for layer in layers], annotations)
    return replace(
        store.add_bytes(canonical_json(manifest), media_types.OCI_MANIFEST), platform=platform
    )


def add_attestation(
    store: Store, name: str, subject: Descriptor, predicate_type: str, predicate: object
) -> Descriptor:
    """Add an attestation of an image, in BuildKit's form."""
    statement = {
        "_type": _STATEMENT,
        "predicateType": predicate_type,
        "subject": [{"name": name, "digest": {"sha256": subject.digest.partition(":")[2]}}],
        "predicate": predicate,
    }
    layer = store.add_bytes(canonical_json(statement), media_types.IN_TOTO)
    layer = replace(layer, annotations={media_types.PREDICATE_TYPE: predicate_type})
    config = {
        **platform_json(_UNKNOWN),
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
    }
    added = store.add_bytes(canonical_json(config), media_types.OCI_CONFIG)
    manifest = store.add_bytes(
        canonical_json(_manifest(added, [layer], {})), media_types.OCI_MANIFEST
    )
    return replace(
        manifest,
        platform=_UNKNOWN,
        annotations={
            media_types.ATTESTATION: media_types.ATTESTATION_MANIFEST,
            media_types.ATTESTED_DIGEST: subject.digest,
        },
    )


def tag_images(store: Store, names: Sequence[str], images: Sequence[WrittenImage]) -> Descriptor:
    """Tag an index of the images; images of other platforms in the old index stay.

    Each image is also tagged `TAG-ARCH`. Return the index's descriptor.
    """
    added: list[Descriptor] = []

    def change(image_names: ImageNames) -> ImageNames:
        kept = _of_other_platforms(store, image_names, names[0], images)
        index = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_INDEX,
            "manifests": [d.as_json() for d in _in_order(kept, images)],
        }
        descriptor = store.add_bytes(canonical_json(index), media_types.OCI_INDEX)
        added.append(descriptor)
        for name in names:
            image_names = image_names.put(name, descriptor)
            for one in images:
                if one.descriptor.platform is not None:
                    alone = f"{name}-{one.descriptor.platform.architecture}"
                    image_names = image_names.put(alone, one.descriptor)
        return image_names

    store.edit(change)
    return added[-1]


def _of_other_platforms(
    store: Store, image_names: ImageNames, name: str, images: Sequence[WrittenImage]
) -> list[Descriptor]:
    """Return the images of other platforms in the index of that name that the store has."""
    ours = {image.descriptor.platform for image in images}
    for entry in image_names.named(name):
        if not entry.descriptor.is_index:
            continue
        try:
            index = parse_manifest(store.read(entry.descriptor), name)
        except ImageError:
            continue  # a broken index of that name is replaced
        if isinstance(index, Index):
            others = [
                d for d in index.manifests if not d.attested_digest and d.platform not in ours
            ]
            kept = {d.digest for d in others if store.has(d)}
            return [d for d in index.manifests if d.digest in kept or d.attested_digest in kept]
    return []


def _in_order(kept: Iterable[Descriptor], images: Iterable[WrittenImage]) -> list[Descriptor]:
    """Return the manifests of images by platform, then their attestations."""
    everything = [*kept]
    for image in images:
        everything += [image.descriptor, *image.attestations]
    manifests = sorted(
        (d for d in everything if not d.attested_digest), key=lambda d: str(d.platform)
    )
    order = {d.digest: i for i, d in enumerate(manifests)}
    attestations = [d for d in everything if d.attested_digest in order]
    return [*manifests, *sorted(attestations, key=lambda d: (order[d.attested_digest], d.digest))]


def _manifest(
    config: Descriptor, layers: Sequence[Descriptor], annotations: Mapping[str, str]
) -> dict[str, Any]:
    out: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": config.as_json(),
        "layers": [layer.as_json() for layer in layers],
    }
    if annotations:
        out["annotations"] = dict(annotations)
    return out


def _compress(tar: Iterable[bytes | memoryview], diff: hashlib._Hash) -> Iterator[bytes]:
    from isal import isal_zlib  # noqa: PLC0415 - only where a layer is written

    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, 31)
    for chunk in tar:
        diff.update(chunk)
        data = compressor.compress(chunk)
        if data:
            yield data
    yield compressor.flush()


__all__ = [
    "ImageSettings",
    "Manifest",
    "WrittenImage",
    "WrittenLayer",
    "add_attestation",
    "add_image",
    "add_layer",
    "format_timestamp",
    "tag_images",
]
