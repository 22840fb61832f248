"""Resolution: references become images, from the store or fetched from other sources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.codes import images as codes
from assembler.diagnostics import Severity
from assembler.errors import DolmenError, ImageError
from assembler.events import LogMessage, WarningEmitted
from assembler.oci.store import MissingImage, MissingReason, find_image, look_up_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assembler.diagnostics import Diagnostic, Place
    from assembler.events import Reporter
    from assembler.oci.image import Image
    from assembler.oci.image_sources import ImageSources
    from assembler.oci.platform import Platform
    from assembler.oci.reference import Reference
    from assembler.oci.store import Store


def resolve_images(
    references: Mapping[Reference, Place | None],
    platform: Platform,
    sources: ImageSources,
    reporter: Reporter,
) -> dict[Reference, Image]:
    """Return every image, complete in the store; references have their place in the YAML, if any.

    Missing images are fetched together, or reported together if nothing may be fetched.
    """
    store = sources.open_store()
    fetch = sources.fetcher()
    wanted = list(references)
    fresh: set[Reference] = set()
    if sources.docker and not sources.offline:
        fresh.update(_import_from_daemon(store, wanted, platform, reporter))
    images: dict[Reference, Image] = {}
    origin = dict.fromkeys(fresh, "from the Docker daemon")
    missing_images: list[MissingImage] = []
    refetch: list[Reference] = []
    names = store.names()
    for reference in wanted:
        if reference not in fresh and sources.rechecks(reference):
            refetch.append(reference)
            continue
        try:
            result = look_up_image(store, reference, platform, reporter, names)
        except ImageError as error:
            raise error.with_place(references[reference]) from error
        if isinstance(result, MissingImage):
            missing_images.append(result)
        else:
            images[reference] = result
    if missing_images and fetch is None:
        raise ImageError(
            [_with_place(a.diagnostic, references[a.reference]) for a in missing_images]
        )
    missing = [a.reference for a in missing_images] + refetch
    if missing and fetch is not None:
        reporter.emit(
            LogMessage(f"{len(images)} images from the store, {len(missing)} to fetch", 1)
        )
        try:
            fetch(store, missing, platform, reporter)
        except DolmenError as error:
            raise type(error)(
                [_with_image_place(d, references, missing_images) for d in error.diagnostics]
            ) from error
        images |= _look_up_fetched(missing, references, platform, store, reporter)
        origin |= dict.fromkeys(missing, "asked of its registry")
    for reference in references:
        reporter.emit(LogMessage(f"{reference}: {origin.get(reference, 'from the store')}", 2))
    return {reference: images[reference] for reference in references}


def _import_from_daemon(
    store: Store, wanted: Sequence[Reference], platform: Platform, reporter: Reporter
) -> list[Reference]:
    """Import what the Docker daemon has; without one, warn: the other sources have the images."""
    from assembler.oci.docker_daemon import import_from_daemon  # noqa: PLC0415 - docker: 150 ms

    try:
        return import_from_daemon(store, wanted, platform, reporter)
    except ImageError as error:
        if any(d.code is not codes.DAEMON_UNAVAILABLE for d in error.diagnostics):
            raise
        for found in error.diagnostics:
            reporter.emit(WarningEmitted(replace(found, severity=Severity.WARNING)))
        return []


def _with_image_place(
    diagnostic: Diagnostic,
    references: Mapping[Reference, Place | None],
    missing_images: Sequence[MissingImage],
) -> Diagnostic:
    """Add to a diagnostic the place of its image, and why the store's copy is not used."""
    named = [r for r in references if str(r) in diagnostic.message]
    of_registry = [r for r in references if r.registry in diagnostic.message]
    for reference in (named or of_registry)[:1]:
        place = references[reference]
        if diagnostic.place is None:
            store_problems = [
                a.diagnostic.message
                for a in missing_images
                if a.reference == reference and a.reason is not MissingReason.UNKNOWN
            ]
            hints = (*diagnostic.hints, *(f"in the store: {message}" for message in store_problems))
            return replace(diagnostic, place=place, hints=hints)
    return diagnostic


def _look_up_fetched(
    missing: Sequence[Reference],
    references: Mapping[Reference, Place | None],
    platform: Platform,
    store: Store,
    reporter: Reporter,
) -> dict[Reference, Image]:
    """Look up the fetched images, and report all that are still missing."""
    images: dict[Reference, Image] = {}
    problems: list[Diagnostic] = []
    names = store.names()
    for reference in missing:
        try:
            images[reference] = find_image(store, reference, platform, reporter, names)
        except ImageError as error:
            problems += error.with_place(references[reference]).diagnostics
    if problems:
        raise ImageError(problems)
    return images


def _with_place(diagnostic: Diagnostic, place: Place | None) -> Diagnostic:
    return ImageError([diagnostic]).with_place(place).diagnostics[0]
