"""Telling a layer that was broken from the start from one that the disk has damaged."""

from __future__ import annotations

import hashlib

from assembler.codes import images
from assembler.errors import DolmenError, HostError, ImageError
from assembler.oci import Descriptor, Image, Store, digest_hex


def diagnose_layer_error(error: DolmenError, image: Image, store: Store) -> DolmenError:
    """Return the error to raise for an unreadable layer or file; quarantine damaged blobs.

    Damage can have other effects before the end of the layer, where its digest is compared.
    """
    for layer in image.manifest.layers if image.salvaged is None else ():
        if _is_as_it_came(layer, str(image.reference), store):
            continue
        hint = "it was put aside: pull or import the image again, and check the disk"
        try:
            store.quarantine(layer.digest)
        except HostError:
            hint = f"remove {store.path(layer.digest)} and pull or import the image again"
        return ImageError.of(
            images.CORRUPT_BLOB,
            f"{image.reference}: the layer {layer.digest} in the store was damaged",
            hint,
        )
    return error


def _is_as_it_came(layer: Descriptor, what: str, store: Store) -> bool:
    with store.open(layer, what) as file:
        found = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # a buffered file
        return found.hexdigest() == digest_hex(layer.digest)
