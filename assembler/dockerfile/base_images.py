"""The base images of a Dockerfile: resolved to digests, from the store if it has them."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from assembler.codes import images, packages
from assembler.errors import DolmenError, ImageError, PackageError, wrap_os_errors
from assembler.oci import (
    DOCKER_LAYER_GZIP,
    OCI_LAYER_GZIP,
    ImageSources,
    LayerBlob,
    MissingImage,
    Platform,
    Reference,
    WrittenLayer,
    digest_hex,
    look_up_image,
    resolve_images,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assembler.diagnostics import Place
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.events import Reporter
    from assembler.oci import Descriptor, Image, Store

_OCI_TYPES = {DOCKER_LAYER_GZIP: OCI_LAYER_GZIP}


@dataclass(frozen=True, slots=True)
class BaseImages:
    """The images that a Dockerfile names, by name and platform; an empty one is the target's."""

    images: Mapping[tuple[str, str], Image]

    def get(self, name: str, platform: str = "") -> Image:
        """Return an image by the name and the platform in the Dockerfile."""
        return self.images[name, platform]

    def digests(self) -> dict[str, str]:
        """Return the digest of each image, by full name and platform, if it has one."""
        return {
            f"{image.reference}" + (f" for {platform}" if platform else ""): image.digest
            for (_, platform), image in sorted(self.images.items())
        }


def fetch_base_images(
    plan: DockerfilePlan, sources: ImageSources, reporter: Reporter
) -> BaseImages:
    """Return all images that the stages need; fetch those that the store lacks."""
    by_platform: dict[Platform, dict[Reference, Place | None]] = {}
    requested: dict[tuple[str, str], tuple[Reference, Platform]] = {}
    for (name, platform_text), instruction in plan.images().items():
        word = name if name in instruction.text or name in instruction.flags.values() else ""
        place = instruction.place(word)
        try:
            reference = Reference.parse(name)
            platform = Platform.parse(platform_text) if platform_text else plan.arguments.target
        except ImageError as error:
            raise error.with_place(place) from error
        requested[name, platform_text] = reference, platform
        by_platform.setdefault(platform, {})[reference] = place
    found: dict[tuple[Reference, Platform], Image] = {}
    for platform, references in by_platform.items():
        try:
            resolved = resolve_images(references, platform, sources, reporter)
        except DolmenError as error:
            # The error of a registry has no place: point at the first instruction with the image.
            message = str(error)
            named = [p for r, p in references.items() if str(r) in message]
            raise error.with_place((named or list(references.values()))[0]) from error
        found |= {(reference, platform): image for reference, image in resolved.items()}
    return BaseImages({key: found[image] for key, image in requested.items()})


def stored_base_images(store: Store, plan: DockerfilePlan) -> BaseImages:
    """Return the images that the store has; nothing is fetched."""
    found = {}
    names = store.names()
    for key in plan.images():
        name, platform_text = key
        with suppress(ImageError):
            platform = Platform.parse(platform_text) if platform_text else plan.arguments.target
            image = look_up_image(store, Reference.parse(name), platform, names=names)
            if not isinstance(image, MissingImage):
                found[key] = image
    return BaseImages(found)


def read_image_config(store: Store, image: Image) -> dict[str, Any]:
    """Return the whole config of an image."""
    document = json.loads(store.read(image.manifest.config, f"{image.reference}, config"))
    if not isinstance(document, dict) or not isinstance(document.get("config") or {}, dict):
        raise _manifest_error(image, "its config is not an object")
    if (document.get("config") or {}).get("OnBuild"):
        raise PackageError.of(
            packages.NO_BUILDER,
            f"{image.reference} has ONBUILD triggers, which are not supported",
            "write their instructions into the Dockerfile",
        )
    return document


def image_layers(store: Store, image: Image) -> list[WrittenLayer]:
    """Return the layers of an image with their diff IDs."""
    rootfs = read_image_config(store, image).get("rootfs")
    ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    layers = image.manifest.layers
    if not isinstance(ids, list) or len(ids) != len(layers):
        raise _manifest_error(image, f"its config does not list {len(layers)} diff IDs")
    return [
        WrittenLayer(replace(d, media_type=_OCI_TYPES.get(d.media_type, d.media_type)), str(i))
        for d, i in zip(layers, ids, strict=True)
    ]


def base_image_name(image: Image) -> str:
    """Return the name of a base image in builders; it has the digest of the image."""
    return f"dolmen-base-{digest_hex(image.digest)[:40]}"


def write_layout(store: Store, image: Image, parent: Path) -> Path:
    """Write an OCI layout of an image in the store; return its path, which ends in its name."""
    layout = parent / base_image_name(image)
    with wrap_os_errors(layout):
        layout.mkdir(exist_ok=True)
        if not (layout / "blobs").is_symlink():
            (layout / "blobs").symlink_to(store.layout.blobs.parent.absolute())
        (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        described = replace(image.descriptor, platform=image.config.platform, annotations={})
        index = {"schemaVersion": 2, "manifests": [described.as_json()]}
        (layout / "index.json").write_text(json.dumps(index))
    return layout


def layer_blob(store: Store, name: str, descriptor: Descriptor) -> LayerBlob:
    """Return a layer of the store for reading; `name` is the image's in messages."""
    return LayerBlob(descriptor.digest, descriptor.size, lambda: store.open(descriptor, name))


def _manifest_error(image: Image, why: str) -> ImageError:
    return ImageError.of(images.BAD_MANIFEST, f"{image.reference}: {why}")
