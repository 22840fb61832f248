"""Resolution: references become images, from the store or fetched from other sources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.errors import DolmenError, ImageError
from assembler.events import LogMessage
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
        from assembler.oci.docker_daemon import import_from_daemon  # noqa: PLC0415 - docker: 150 ms

        fresh.update(import_from_daemon(store, wanted, platform, reporter))
    found: dict[Reference, Image] = {}
    origin = dict.fromkeys(fresh, "from the Docker daemon")
    absent: list[MissingImage] = []
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
            absent.append(result)
        else:
            found[reference] = result
    if absent and fetch is None:
        raise ImageError([_placed(a.diagnostic, references[a.reference]) for a in absent])
    missing = [a.reference for a in absent] + refetch
    if missing and fetch is not None:
        reporter.emit(LogMessage(f"{len(found)} images from the store, {len(missing)} to fetch", 1))
        try:
            fetch(store, missing, platform, reporter)
        except DolmenError as error:
            raise type(error)(
                [_about_one_of(d, references, absent) for d in error.diagnostics]
            ) from error
        found |= _fetched(missing, references, platform, store, reporter)
        origin |= dict.fromkeys(missing, "asked of its registry")
    for reference in references:
        reporter.emit(LogMessage(f"{reference}: {origin.get(reference, 'from the store')}", 2))
    return {reference: found[reference] for reference in references}


def _about_one_of(
    diagnostic: Diagnostic,
    references: Mapping[Reference, Place | None],
    absent: Sequence[MissingImage],
) -> Diagnostic:
    """Add to a diagnostic the place of its image, and why the store's copy is not used."""
    named = [r for r in references if str(r) in diagnostic.message]
    of_registry = [r for r in references if r.registry in diagnostic.message]
    for reference in (named or of_registry)[:1]:
        place = references[reference]
        if diagnostic.place is None:
            here = [
                a.diagnostic.message
                for a in absent
                if a.reference == reference and a.reason is not MissingReason.UNKNOWN
            ]
            hints = (*diagnostic.hints, *(f"in the store: {message}" for message in here))
            return replace(diagnostic, place=place, hints=hints)
    return diagnostic


def _fetched(
    missing: Sequence[Reference],
    references: Mapping[Reference, Place | None],
    platform: Platform,
    store: Store,
    reporter: Reporter,
) -> dict[Reference, Image]:
    """Look up the fetched images, and report all that are still missing."""
    found: dict[Reference, Image] = {}
    wrong: list[Diagnostic] = []
    names = store.names()
    for reference in missing:
        try:
            found[reference] = find_image(store, reference, platform, reporter, names)
        except ImageError as error:
            wrong += error.with_place(references[reference]).diagnostics
    if wrong:
        raise ImageError(wrong)
    return found


def _placed(diagnostic: Diagnostic, place: Place | None) -> Diagnostic:
    return ImageError([diagnostic]).with_place(place).diagnostics[0]
