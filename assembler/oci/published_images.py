"""Published images: those that a registry has, too, so that the store can lose them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from assembler.errors import DolmenError, ImageError
from assembler.events import LogMessage, task
from assembler.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.events import Reporter
    from assembler.oci.registry.options import RegistryOptions
    from assembler.oci.registry.registries import Registries
    from assembler.oci.store import IndexEntry

_WORKERS = 4


def find_published(
    entries: Iterable[IndexEntry], options: RegistryOptions, reporter: Reporter
) -> frozenset[tuple[str, str]]:
    """Return name and digest of the entries that their registry has under the same digest.

    Mirrors do not count: the registry itself may no longer have the image.
    """
    from assembler.oci.registry.registries import open_registries  # noqa: PLC0415 - brings requests

    candidates = list(entries)
    with (
        open_registries(options, reporter) as registries,
        task(reporter, "ask registries", len(candidates), "images") as progress,
        ThreadPoolExecutor(_WORKERS) as pool,
    ):
        published = set()
        for entry, is_published in zip(
            candidates,
            pool.map(lambda e: _is_published(e, registries, reporter), candidates),
            strict=True,
        ):
            progress.advance(1)
            if is_published:
                published.add((entry.name, entry.descriptor.digest))
        return frozenset(published)


def _is_published(entry: IndexEntry, registries: Registries, reporter: Reporter) -> bool:
    from assembler.oci.registry.manifests import head_manifest  # noqa: PLC0415

    try:
        reference = Reference.parse(entry.name)
    except ImageError:
        return False
    try:
        client = registries.origin(reference.registry)
        digest = head_manifest(client, reference.repository, reference.tag_or_digest)
    except DolmenError as error:
        reporter.emit(
            LogMessage(f"{reference} counts as not published: {error.diagnostics[0].message}")
        )
        return False
    return digest == entry.descriptor.digest
