"""Images that are data themselves (volumes of format oci): whole, for all platforms asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import images
from assembler.errors import ImageError
from assembler.oci import ContentsReader, equivalent_names
from assembler.rootfs import ImageRole, RequiredImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.events import Reporter
    from assembler.oci import Descriptor, ImageSources, Platform, Reference, RegistryOptions, Store


def layouts(
    needs: Sequence[RequiredImage],
    sources: ImageSources,
    reporter: Reporter,
) -> dict[Reference, Descriptor]:
    """Return what the name of each such image stands for, fetched as far as it was missing."""
    store = sources.open_store()
    found: dict[Reference, Descriptor] = {}
    for need in needs:
        if need.role is not ImageRole.LAYOUT:
            continue
        top = None if sources.rechecks(need.reference) else _whole(store, need)
        if top is None and not sources.offline:
            _fetch(store, need, sources.registry_options(), reporter)
            top = _whole(store, need)
        if top is None:
            raise ImageError.of(
                images.NOT_IN_STORE,
                f"{need.reference} is not in the store with everything that the volume holds",
                f"`dolmen cache pull {need.reference}` fetches all of it",
                place=need.place,
            )
        found[need.reference] = top
    return found


def _fetch(
    store: Store, need: RequiredImage, registries: RegistryOptions, reporter: Reporter
) -> None:
    from assembler.oci import PullOptions, pull  # noqa: PLC0415 - requests is slow to import

    pull(store, [need.reference], PullOptions(registries, need.platforms), reporter)


def _whole(store: Store, need: RequiredImage) -> Descriptor | None:
    """Return what the name stands for if all that is wanted of it is there; an index if it can."""
    names = store.names()
    entries = [e for form in equivalent_names(need.reference) for e in names.named(form)]
    for entry in sorted(entries, key=lambda e: not e.descriptor.is_index):
        contents = ContentsReader(store).contents(entry.descriptor)
        missing_images = [d for d in contents.not_fetched if _is_wanted(d, need.platforms)]
        missing_parts = [
            d
            for leaf in contents.images
            if _is_wanted(leaf.descriptor, need.platforms)
            for d in leaf.missing
        ]
        if not contents.unreadable and not missing_images and not missing_parts:
            return entry.descriptor
    return None


def _is_wanted(descriptor: Descriptor, platforms: Sequence[Platform]) -> bool:
    if descriptor.attested_digest:
        return not platforms
    has = descriptor.platform
    return not platforms or has is None or any(has.satisfies(p) for p in platforms)
