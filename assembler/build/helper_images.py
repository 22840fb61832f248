"""Resolving helper images: the one that is named, or that of a recipe that Dolmen brings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.build.local_packages import build_missing
from assembler.catalog import catalog_directory
from assembler.diagnostics import Diagnostic
from assembler.errors import DolmenError, OutputError
from assembler.helper_images import (
    HELPER_IMAGES,
    IMAGETOOLS,
    HelperImage,
    HelperImages,
    programs_missing_on_host,
)
from assembler.oci import Reference, host_platform, resolve_images

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.build.options import BuildOptions
    from assembler.events import Reporter
    from assembler.formats import Format
    from assembler.oci import Image, ImageSources, Platform


def resolve_helper_images(
    formats: Sequence[Format],
    options: BuildOptions,
    sources: ImageSources,
    platform: Platform,
    reporter: Reporter,
) -> HelperImages:
    """Return the helper images that the formats declare, complete in the store."""
    needed = set[HelperImage]().union(*(f.needs.helpers for f in formats))
    programs = set[str]().union(*(f.needs.programs for f in formats))
    if programs_missing_on_host(programs):
        needed.add(IMAGETOOLS)

    def resolve(kind: HelperImage) -> Image:
        named = options.helper_images.get(kind.name, "")
        target = host_platform() if kind.runs_on_host else platform
        return _resolve(kind, named, options, sources, target, reporter)

    images = {
        kind: resolve(kind)
        for kind in HELPER_IMAGES
        if kind in needed and (kind.has_recipe or options.helper_images.get(kind.name))
    }
    return HelperImages(sources.open_store(), images, resolve)


def _resolve(
    kind: HelperImage,
    named: str,
    options: BuildOptions,
    sources: ImageSources,
    platform: Platform,
    reporter: Reporter,
) -> Image:
    """Return the image that is named, or that of our own recipe, which is built if missing."""
    if not kind.has_recipe:
        reference = Reference.parse(named)
        return resolve_images({reference: None}, platform, sources, reporter)[reference]
    recipe = catalog_directory(kind.name)
    wanted = Reference.parse(named) if named else _own_image(kind, recipe)
    try:
        if not named and not sources.offline:
            build_missing(options, {wanted: recipe}, platform, reporter, wanted.tag)
        ours = sources if named else replace(sources, pull=False)
        return resolve_images({wanted: None}, platform, ours, reporter)[wanted]
    except DolmenError as error:
        hints = ["without --offline it is built"] if sources.offline else []
        if kind.option:
            where = (
                "one that is in the store" if sources.offline else "an image with the same files"
            )
            hints.append(f"name {where}: {kind.option} IMAGE")
        hint = "; or ".join(hints)
        first = Diagnostic(
            kind.code, f"no {kind.provides} for {platform}", hints=(hint,) if hint else ()
        )
        raise OutputError([first, *error.diagnostics]) from error


def _own_image(kind: HelperImage, recipe: Path) -> Reference:
    """Return the name of the image that our recipe makes; uncommitted changes count."""
    from assembler.packages import hash_directory  # noqa: PLC0415 - heavy

    return Reference.parse(f"dolmen/{kind.name}:{hash_directory(recipe)}")
