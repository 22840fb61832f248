"""Resolving helper images: the one that is named, or that of a recipe that Dolmen brings."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.build.local_packages import build_missing
from assembler.diagnostics import Diagnostic
from assembler.errors import DolmenError, OutputError, wrap_os_errors
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

    from assembler.build.options import BuildOptions
    from assembler.events import Reporter
    from assembler.formats import Format
    from assembler.oci import Image, ImageSources, Platform


def recipe_of(kind: HelperImage) -> Path:
    """Return the directory of a recipe that Dolmen brings, in a checkout or installed."""
    package = Path(__file__).resolve().parent.parent
    installed = package / f"_{kind.name}"
    return installed if installed.is_dir() else package.parent / "pkg" / kind.name


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
    images: dict[HelperImage, Image] = {}
    for kind in HELPER_IMAGES:
        named = options.helper_images.get(kind.name, "")
        if kind in needed and (named or kind.has_recipe):
            target = host_platform() if kind.runs_on_host else platform
            images[kind] = _resolve(kind, named, options, sources, target, reporter)
    return HelperImages(sources.open_store(), images)


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
    recipe = recipe_of(kind)
    wanted = Reference.parse(named or f"dolmen/{kind.name}:{tree_hash(recipe)}")
    try:
        if not named and not sources.offline:
            build_missing(options, {wanted: recipe}, platform, reporter, wanted.tag)
        ours = sources if named else replace(sources, pull=False)
        return resolve_images({wanted: None}, platform, ours, reporter)[wanted]
    except DolmenError as error:
        hint = (
            f"without --offline it is built; or name one that is in the store: {kind.option} IMAGE"
            if sources.offline
            else f"name an image that has the same files: {kind.option} IMAGE"
        )
        first = Diagnostic(kind.code, f"no {kind.provides} for {platform}", hints=(hint,))
        raise OutputError([first, *error.diagnostics]) from error


def tree_hash(directory: Path) -> str:
    """Return git's hash of a directory that has plain files alone."""
    entries = []
    with wrap_os_errors(directory, "read"):
        for path in sorted(directory.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                data = path.read_bytes()
                entries.append(f"100644 {path.name}\0".encode() + _git(b"blob", data).digest())
    return _git(b"tree", b"".join(entries)).hexdigest()


def _git(kind: bytes, data: bytes) -> hashlib._Hash:
    return hashlib.sha1(b"%b %d\0%b" % (kind, len(data), data), usedforsecurity=False)
