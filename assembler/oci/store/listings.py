"""What is in a store, for people: names, platforms, sizes, when it was last used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import ImageError
from assembler.oci.manifest import parse_config
from assembler.oci.reference import Reference
from assembler.oci.store.lookup import spellings
from assembler.oci.store.walk import Walker, blobs_on_disk

if TYPE_CHECKING:
    from assembler.oci.manifest import Descriptor
    from assembler.oci.platform import Platform
    from assembler.oci.store.blobs import Store
    from assembler.oci.store.names import Entry, Names
    from assembler.oci.store.walk import Leaf


@dataclass(frozen=True, slots=True)
class Listed:
    """One name of the store and what it leads to."""

    name: str
    descriptor: Descriptor
    platforms: tuple[Platform, ...]
    # Listed in its index, but not in the store.
    elsewhere: tuple[Platform, ...]
    size: int
    used: float
    complete: bool


def listing(store: Store, names: Names | None = None) -> tuple[Listed, ...]:
    """Return what is in the store, by name."""
    walker = Walker(store)
    found = {b.digest: b for b in blobs_on_disk(store)}
    rows = []
    for entry in (names or store.names()).entries:
        contents = walker.contents(entry.descriptor)
        here = [found[d] for d in contents.blobs if d in found]
        tops = {leaf.descriptor.digest for leaf in contents.leaves} | {entry.descriptor.digest}
        platforms = (platform_of(store, leaf) for leaf in contents.images)
        others = (d.platform for d in contents.elsewhere if not d.attests)
        rows.append(
            Listed(
                entry.name,
                entry.descriptor,
                tuple(dict.fromkeys(p for p in platforms if p is not None)),
                tuple(dict.fromkeys(p for p in others if p is not None)),
                sum(b.size for b in here),
                max((b.used for b in here if b.digest in tops), default=0.0),
                contents.usable,
            )
        )
    return tuple(sorted(rows, key=lambda r: (r.name, r.descriptor.digest)))


def platform_of(store: Store, leaf: Leaf) -> Platform | None:
    """Return the platform of an image, as its index or its config says it."""
    if leaf.descriptor.platform is not None:
        return leaf.descriptor.platform
    try:
        platform = parse_config(store.read(leaf.manifest.config), "config").platform
    except ImageError:
        return None
    return platform if platform.architecture else None


def entries_of(names: Names, text: str) -> tuple[Entry, ...]:
    """Return the entries that somebody means who writes `text`: a name, or how others wrote it."""
    exact = names.named(text)
    if exact:
        return exact
    for form in spellings(Reference.parse(text)):
        found = names.named(form)
        if found:
            return found
    return ()
