"""The SPDX document of the system, joined of what its images carry."""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

from assembler.codes import rootfs
from assembler.diagnostics import Diagnostic, Severity
from assembler.oci import Store, read_attestations
from assembler.rootfs import STANDARD_TIME, Plan, append_file, installed_images
from assembler.sbom import AttestationSource, join_sboms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assembler.build.options import SbomOptions
    from assembler.encode import SalvageArchive
    from assembler.oci import Image, Manifest


def with_sbom(
    plan: Plan,
    options: SbomOptions,
    store: Store,
    earlier: SalvageArchive | None,
    warn: Callable[[Diagnostic], None],
) -> tuple[Plan, dict[str, Any] | None]:
    """Return the plan with the document, and what a tar records of it if it is complete."""
    created = STANDARD_TIME if options.created is None else options.created
    record = {
        "created": created,
        "laid_out": [[image.digest, prefix] for image, prefix in installed_images(plan)],
    }
    without = _unattested(plan, earlier)
    content = earlier.sbom(record) if earlier is not None and without else None
    complete = content is not None or not without
    if content is None:
        joined = join_sboms(
            installed_images(plan),
            AttestationSource(partial(_attestations, store), store.open),
            created,
        )
        content = joined.content
        for warning in joined.warnings:
            warn(warning)
        for name in without:
            warn(_missing(name))
    record |= {"path": options.path, "size": len(content), "crc32": zlib.crc32(content)}
    return append_file(plan, options.path, content), record if complete else None


def _attestations(store: Store, image: Image) -> Sequence[Manifest]:
    return read_attestations(store, image) if image.salvaged is None else ()


def _unattested(plan: Plan, earlier: SalvageArchive | None) -> list[str]:
    """Return the images that SPDX documents say something of, which cannot be had."""
    if earlier is None:
        return []
    images = {str(image.reference): image for image, _ in installed_images(plan)}
    return [
        name
        for name, image in images.items()
        if image.salvaged is not None and earlier.is_attested(name)
    ]


def _missing(name: str) -> Diagnostic:
    return Diagnostic(
        rootfs.BAD_SBOM,
        f"the SBOM of {name} is left out: the image cannot be had",
        hints=("--no-sbom leaves the whole document out",),
        severity=Severity.WARNING,
    )
