"""The images a Dockerfile stands on: resolved to digests, from the store first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from assembler.codes import images, packages
from assembler.errors import DolmenError, ImageError, PackageError
from assembler.oci import (
    DOCKER_LAYER_GZIP,
    OCI_LAYER_GZIP,
    ImageSources,
    MissingImage,
    Platform,
    Reference,
    WrittenLayer,
    look_up_image,
    resolve_images,
)
from assembler.oci import LayerBlob as StoredLayer

if TYPE_CHECKING:
    from assembler.diagnostics import Place
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.events import Reporter
    from assembler.oci import Descriptor, Image, Store

_OCI_TYPES = {DOCKER_LAYER_GZIP: OCI_LAYER_GZIP}


@dataclass(frozen=True, slots=True)
class BaseImages:
    """The images of a Dockerfile, by the name and the platform that it gives them."""

    images: Mapping[tuple[str, str], Image]

    def get(self, name: str, platform: str = "") -> Image:
        """Return an image that the Dockerfile names."""
        return self.images[name, platform]

    def digests(self) -> dict[str, str]:
        """Return the digest of each image, by its full name and the platform if it is given."""
        return {
            f"{image.reference}" + (f" for {platform}" if platform else ""): image.digest
            for (_, platform), image in sorted(self.images.items())
        }


def fetch_base_images(
    plan: DockerfilePlan, sources: ImageSources, reporter: Reporter
) -> BaseImages:
    """Find every image that is needed, and fetch what the store lacks."""
    by_platform: dict[Platform, dict[Reference, Place | None]] = {}
    wanted: dict[tuple[str, str], tuple[Reference, Platform]] = {}
    for (name, platform_text), instruction in plan.images().items():
        word = name if name in instruction.text or name in instruction.flags.values() else ""
        place = instruction.place(word)
        try:
            reference = Reference.parse(name)
            platform = Platform.parse(platform_text) if platform_text else plan.arguments.target
        except ImageError as error:
            raise error.with_place(place) from error
        wanted[name, platform_text] = reference, platform
        by_platform.setdefault(platform, {})[reference] = place
    found: dict[tuple[Reference, Platform], Image] = {}
    for platform, references in by_platform.items():
        try:
            here = resolve_images(references, platform, sources, reporter)
        except DolmenError as error:
            # What a registry says has no place: it belongs to the first FROM of the image.
            said = str(error)
            named = [p for r, p in references.items() if str(r) in said]
            raise error.with_place((named or list(references.values()))[0]) from error
        found |= {(reference, platform): image for reference, image in here.items()}
    return BaseImages({key: found[what] for key, what in wanted.items()})


def stored_base_images(store: Store, plan: DockerfilePlan) -> BaseImages:
    """Return the images that are in the store already; nothing is fetched."""
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
        raise _manifest_error(image, "its config is no object")
    if (document.get("config") or {}).get("OnBuild"):
        raise PackageError.of(
            packages.NO_BUILDER,
            f"{image.reference} has triggers (ONBUILD), which are not carried out here",
            "write their instructions into the Dockerfile",
        )
    return document


def image_layers(store: Store, image: Image) -> list[WrittenLayer]:
    """Return the layers of an image with the digests of their contents."""
    rootfs = read_image_config(store, image).get("rootfs")
    ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    layers = image.manifest.layers
    if not isinstance(ids, list) or len(ids) != len(layers):
        raise _manifest_error(image, f"its config does not tell of its {len(layers)} layers")
    return [
        WrittenLayer(replace(d, media_type=_OCI_TYPES.get(d.media_type, d.media_type)), str(i))
        for d, i in zip(layers, ids, strict=True)
    ]


def layer_blob(store: Store, what: str, descriptor: Descriptor) -> StoredLayer:
    """Return a layer as it can be read."""
    return StoredLayer(descriptor.digest, descriptor.size, lambda: store.open(descriptor, what))


def _manifest_error(image: Image, why: str) -> ImageError:
    return ImageError.of(images.BAD_MANIFEST, f"{image.reference}: {why}")
