"""Looking up images in the store by reference and platform."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from assembler.codes import images
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import ImageError
from assembler.events import NullReporter, WarningEmitted
from assembler.oci.image import Image
from assembler.oci.manifest import Index, Manifest, parse_image_config, parse_manifest
from assembler.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.events import Reporter
    from assembler.oci.manifest import Descriptor
    from assembler.oci.platform import Platform
    from assembler.oci.store.image_store import Store
    from assembler.oci.store.names import ImageNames

_DEEPEST_INDEX = 8


class MissingReason(Enum):
    """Why an image cannot be used from the store."""

    UNKNOWN = "no such name"
    PLATFORM = "not for this platform"
    INCOMPLETE = "parts are missing"


@dataclass(frozen=True, slots=True)
class MissingImage:
    """An image that cannot be used from the store, with the reason and its diagnostic."""

    reference: Reference
    reason: MissingReason
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class ManifestCandidate:
    """A manifest that may fit, and the index that lists it."""

    descriptor: Descriptor
    index: Descriptor | None = None


def find_image(
    store: Store,
    reference: Reference,
    platform: Platform,
    reporter: Reporter | None = None,
    names: ImageNames | None = None,
) -> Image:
    """Return the image, complete in the store, or raise an error that names the missing parts."""
    found = look_up_image(store, reference, platform, reporter, names)
    if isinstance(found, MissingImage):
        raise ImageError([found.diagnostic])
    return found


def look_up_image(
    store: Store,
    reference: Reference,
    platform: Platform,
    reporter: Reporter | None = None,
    names: ImageNames | None = None,
) -> Image | MissingImage:
    """Return the image if it is complete in the store, else why not.

    A malformed manifest raises. `names` saves reading index.json again.
    """
    if names is None:
        names = store.names()
    absent = _unknown(reference, names)
    offered: set[Platform] = set()
    for top in _tops(store, reference, names):
        try:
            found = _choose(store, reference, top, platform, offered)
            if found is not None:
                return _image(store, reference, found, platform, reporter or NullReporter())
        except ImageError as error:
            diagnostic = error.diagnostics[0]
            if diagnostic.code not in (images.BLOB_MISSING, images.CORRUPT_BLOB):
                raise
            absent = MissingImage(reference, MissingReason.INCOMPLETE, diagnostic)
        else:
            if absent.reason is not MissingReason.INCOMPLETE:
                absent = _other_platforms(reference, platform, offered)
    return absent


def read_attestations(store: Store, image: Image) -> tuple[Manifest, ...]:
    """Return the manifests of the image's attestations in the store."""
    if image.index is None:
        return ()
    index = _document(store, image.index, str(image.reference))
    found = (
        _document(store, d, f"what {image.reference} is attested by")
        for d in (index.manifests if isinstance(index, Index) else ())
        if d.attested_digest == image.digest and store.has(d)
    )
    return tuple(m for m in found if isinstance(m, Manifest))


def equivalent_names(reference: Reference) -> tuple[str, ...]:
    """Return the names that may stand for the image in a store, best first."""
    forms = [str(reference)]
    if reference.tag == "latest" and not reference.digest:
        forms.append(str(reference.untagged))
    if reference.bare:
        forms += [f"{reference.registry}/{form}" for form in forms]
    return tuple(forms)


def _tops(store: Store, reference: Reference, names: ImageNames) -> Iterator[ManifestCandidate]:
    """Yield the manifests and indexes that the reference names, manifests first."""
    for form in equivalent_names(reference):
        entries = names.named(form)
        for entry in sorted(entries, key=lambda e: e.descriptor.is_index):
            if reference.digest in ("", entry.descriptor.digest):
                yield ManifestCandidate(entry.descriptor)
    if reference.digest:
        yield from _pinned(store, reference, names)


def _pinned(store: Store, reference: Reference, names: ImageNames) -> Iterator[ManifestCandidate]:
    """Yield manifests with the digest from other names and indexes of the repository."""
    for entry in names.entries:
        if not _same_repository(entry.names, reference):
            continue
        if entry.descriptor.digest == reference.digest:
            yield ManifestCandidate(entry.descriptor)
        elif entry.descriptor.is_index and store.has(entry.descriptor):
            for candidate in _leaves(store, entry.descriptor, str(reference), set()):
                if candidate.descriptor.digest == reference.digest:
                    yield candidate


def _same_repository(names: Iterable[str], reference: Reference) -> bool:
    for name in names:
        try:
            other = Reference.parse(name)
        except ImageError:
            continue
        if (other.registry, other.repository) == (reference.registry, reference.repository):
            return True
    return False


def _leaves(
    store: Store, index: Descriptor, what: str, seen: set[str], depth: int = 0
) -> Iterator[ManifestCandidate]:
    """Yield the images of an index and its nested indexes, without attestations."""
    if depth > _DEEPEST_INDEX or index.digest in seen:
        return
    seen.add(index.digest)
    document = _document(store, index, what)
    if isinstance(document, Manifest):
        yield ManifestCandidate(index)
        return
    for descriptor in document.manifests:
        if descriptor.attested_digest:
            continue
        if descriptor.is_index:
            if store.has(descriptor):
                yield from _leaves(store, descriptor, what, seen, depth + 1)
        else:
            yield ManifestCandidate(descriptor, index)


def _choose(
    store: Store,
    reference: Reference,
    top: ManifestCandidate,
    wanted: Platform,
    offered: set[Platform],
) -> ManifestCandidate | None:
    """Return the manifest that fits the platform best; `offered` collects all platforms."""
    what = str(reference)
    best: tuple[int, ManifestCandidate] | None = None
    leaves = (top,) if top.descriptor.is_manifest else _leaves(store, top.descriptor, what, set())
    for leaf in leaves:
        platform = leaf.descriptor.platform if leaf.index else None
        if platform is None or not platform.architecture:
            platform = _platform_of(store, leaf.descriptor, what)
        if not platform.architecture:
            rank: int | None = 1000
        else:
            rank = platform.rank(wanted)
            if platform.architecture != "unknown":
                offered.add(platform)
        if rank is not None and (best is None or rank < best[0]):
            best = rank, leaf
    return best[1] if best else None


def _platform_of(store: Store, descriptor: Descriptor, what: str) -> Platform:
    manifest = _document(store, descriptor, what)
    if isinstance(manifest, Index):
        raise ImageError.of(images.BAD_MANIFEST, f"{what}: an index calls itself a manifest")
    return parse_image_config(store.read(manifest.config, f"{what}, config"), what).platform


def _image(
    store: Store,
    reference: Reference,
    found: ManifestCandidate,
    wanted: Platform,
    reporter: Reporter,
) -> Image:
    """Read a manifest and its config; a missing layer raises."""
    what = f"{reference} for {wanted}"
    manifest = _document(store, found.descriptor, what)
    if isinstance(manifest, Index):
        raise ImageError.of(images.BAD_MANIFEST, f"{what}: an index calls itself a manifest")
    config = parse_image_config(store.read(manifest.config, f"{what}, config"), f"{what}, config")
    # Touch before the check, so that garbage collection keeps the present blobs.
    store.touch((found.descriptor, manifest.config, *manifest.layers))
    for number, layer in enumerate(manifest.layers):
        if not store.has(layer):
            store.open(layer, f"{what}, layer {number + 1}").close()  # raises and says why
    if not config.platform.architecture:
        text = f"{reference} does not say which architecture it is made for"
        reporter.emit(
            WarningEmitted(Diagnostic(images.PLATFORM_UNKNOWN, text, severity=Severity.WARNING))
        )
    return Image(reference, found.descriptor, manifest, config, found.index)


def _document(store: Store, descriptor: Descriptor, what: str) -> Index | Manifest:
    return parse_manifest(store.read(descriptor, what), what, descriptor.media_type)


def other_registries_hint(reference: Reference, names: ImageNames) -> str:
    """Return a hint to the same repository of other registries in the store, or nothing."""
    found = []
    for entry in names.entries:
        try:
            other = Reference.parse(entry.name)
        except ImageError:
            continue
        if other.registry != reference.registry and _bare(other) == _bare(reference):
            found.append((other.tag != reference.tag, entry.name))
    names_found = list(dict.fromkeys(name for _, name in sorted(found)))[:3]
    return f"did you mean {' or '.join(names_found)}?" if names_found else ""


def _bare(reference: Reference) -> str:
    return reference.repository.removeprefix("library/")


def _unknown(reference: Reference, names: ImageNames) -> MissingImage:
    others = [e.name for e in names.entries if e.name and _same_repository(e.names, reference)]
    hints = [f"`dolmen cache pull {reference}` fetches it, `dolmen cache import FILE` takes a file"]
    if others:
        more = "" if len(others) <= 5 else f" and {len(others) - 5} more"
        hints.insert(0, f"of this repository the store has {', '.join(others[:5])}{more}")
    elsewhere = other_registries_hint(reference, names)
    if elsewhere:
        hints.insert(0, elsewhere)
    message = f"{reference} is not in the store"
    return MissingImage(
        reference,
        MissingReason.UNKNOWN,
        Diagnostic(images.NOT_IN_STORE, message, hints=tuple(hints)),
    )


def _other_platforms(
    reference: Reference, wanted: Platform, offered: set[Platform]
) -> MissingImage:
    have = ", ".join(str(p) for p in sorted(offered)) or "no image"
    message = f"{reference} has {have}, not {wanted}"
    return MissingImage(
        reference, MissingReason.PLATFORM, Diagnostic(images.PLATFORM_NOT_FOUND, message)
    )
