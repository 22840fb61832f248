"""Verifying every byte of a store; a repair quarantines wrong blobs and fetches missing ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assembler.codes import images
from assembler.diagnostics import Diagnostic
from assembler.errors import DolmenError, HostError, ImageError, wrap_os_errors
from assembler.events import task
from assembler.oci.digest import digest_hex
from assembler.oci.platform import host_platform
from assembler.oci.reference import Reference
from assembler.oci.store.image_contents import ContentsReader, list_blob_files
from assembler.oci.store.image_list import platform_of
from assembler.oci.store.incoming_blob import new_sha256
from assembler.oci.store.names import ImageNames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.codes import Code
    from assembler.events import Reporter
    from assembler.oci.platform import Platform
    from assembler.oci.store.image_contents import BlobFile, ImageContents
    from assembler.oci.store.image_fetcher import ImageFetcher
    from assembler.oci.store.image_store import Store
    from assembler.oci.store.names import IndexEntry

_CHUNK = 1 << 20
_WORKERS = 2


@dataclass(slots=True)
class VerifyReport:
    """The result of a verification."""

    images: int = 0
    blobs: int = 0
    bytes: int = 0
    # Unnamed blobs: no error, garbage collection removes them in time.
    orphans: int = 0
    orphan_bytes: int = 0
    # The segments, which the stage that makes them verifies.
    segments: int = 0
    segment_bytes: int = 0
    # Debian packages and Go toolchains, which their stages verify.
    others: int = 0
    other_bytes: int = 0
    # Problems, and the repairs of this run.
    problems: list[Diagnostic] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Tell whether there are no problems left."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Return the report for scripts."""
        return {
            "clean": self.clean,
            "images": self.images,
            "blobs": self.blobs,
            "bytes": self.bytes,
            "orphans": self.orphans,
            "orphanBytes": self.orphan_bytes,
            "segments": self.segments,
            "segmentBytes": self.segment_bytes,
            "others": self.others,
            "otherBytes": self.other_bytes,
            "repaired": self.repaired,
            "problems": [problem.as_json() for problem in self.problems],
        }

    def add_problem(self, code: Code, message: str, *hints: str) -> None:
        """Add a problem."""
        self.problems.append(Diagnostic(code, message, hints=hints))


def verify_store(
    store: Store, reporter: Reporter, *, repair: bool = False, fetch: ImageFetcher | None = None
) -> VerifyReport:
    """Hash every blob, quarantine wrong ones, and check that every named image is complete.

    A repair removes invalid entries of index.json, and calls `fetch` for missing blobs.
    """
    report = VerifyReport()
    if not store.root.exists():
        return report
    names = _readable_names(store, report, repair=repair)
    _hash_all(store, report, reporter)
    incomplete = _incomplete(store, names, report)
    if incomplete and repair and fetch is not None:
        repaired_names = _fetch_again(store, incomplete, fetch, reporter, report)
        report.repaired += [f"fetched {name} again" for name in repaired_names]
        incomplete = [i for i in incomplete if i.entry.name not in repaired_names]
    for image in incomplete:
        report.problems.append(image.diagnostic())
    return report


@dataclass(frozen=True, slots=True)
class IncompleteImage:
    """A named image that misses blobs."""

    entry: IndexEntry
    contents: ImageContents

    def diagnostic(self) -> Diagnostic:
        """Return the diagnostic of the missing blobs."""
        name = self.entry.name or "an entry without a name"
        if self.contents.unreadable:
            why = f"its manifest {self.entry.descriptor.digest} is not in the store"
        elif not self.contents.leaves:
            why = "none of the images in its index is in the store"
        else:
            gone = self.contents.missing
            why = f"{gone[0].digest} is not in the store"
            why += f", nor are {len(gone) - 1} other blobs" if len(gone) > 1 else ""
        # Commands take names.
        hint = f"`dolmen cache pull {name}` or `dolmen cache rm {name}`" if self.entry.name else ""
        message = f"{name} is not complete: {why}"
        return Diagnostic(images.BLOB_MISSING, message, hints=(hint,) if hint else ())

    def platforms(self, store: Store) -> set[Platform]:
        """Return the platforms with missing blobs."""
        broken = (leaf for leaf in self.contents.images if leaf.missing)
        return {platform_of(store, leaf) or host_platform() for leaf in broken} or {host_platform()}


def _readable_names(store: Store, report: VerifyReport, *, repair: bool) -> ImageNames:
    """Return the names; a repair moves an unreadable index.json to quarantine."""
    if repair and store.restore_names():
        report.repaired.append(f"restored {store.layout.index}, which had changed on the disk")
    try:
        names = store.names()
    except ImageError as error:
        if not repair:
            report.problems += error.diagnostics
            return ImageNames.none()
        with store.index_locked():
            aside = _set_index_aside(store)
            store.replace_names(ImageNames.none())
        report.repaired.append(f"put the unreadable index.json aside as {aside}")
        return ImageNames.none()
    if names.broken and repair:
        names = store.edit(ImageNames.repaired)
        report.repaired.append("removed invalid descriptors from index.json")
    for broken in names.broken:
        report.add_problem(
            images.BROKEN_STORE, broken.reason, "`dolmen cache verify --repair` removes the entry"
        )
    return names


def _set_index_aside(store: Store) -> str:
    layout = store.layout
    with wrap_os_errors(layout.quarantine):
        layout.quarantine.mkdir(exist_ok=True)
        number = 1
        while (target := layout.quarantine / f"index.json.{number}").exists():
            number += 1
        layout.index.rename(target)
    return str(target)


def _hash_all(store: Store, report: VerifyReport, reporter: Reporter) -> None:
    blobs = sorted(list_blob_files(store), key=lambda b: -b.size)
    report.blobs = len(blobs)
    report.bytes = sum(b.size for b in blobs)
    with (
        task(reporter, "verify", report.bytes) as progress,
        ThreadPoolExecutor(_WORKERS) as pool,
    ):
        for blob, found in zip(blobs, pool.map(_hash, blobs), strict=True):
            progress.advance(blob.size)
            if isinstance(found, OSError):
                report.add_problem(
                    images.CORRUPT_BLOB, f"{blob.path} cannot be read: {found.strerror or found}"
                )
            elif not blob.digest:
                report.orphans += 1
                report.orphan_bytes += blob.size
            elif found and found != digest_hex(blob.digest):
                _quarantine_blob(store, blob, report)
        progress.outcome = "wrong" if report.problems else "verified"


def _hash(blob: BlobFile) -> str | OSError:
    """Return the blob's real hash; empty if it is gone or not a blob."""
    if not blob.digest:
        return ""
    hasher, buffer = new_sha256(), bytearray(_CHUNK)
    view = memoryview(buffer)
    try:
        with blob.path.open("rb", buffering=0) as file:
            while got := file.readinto(buffer):
                hasher.update(view[:got])
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error
    return hasher.hexdigest()


def _quarantine_blob(store: Store, blob: BlobFile, report: VerifyReport) -> None:
    message = f"{blob.digest}: the content does not match the digest"
    try:
        store.quarantine(blob.digest)
    except HostError:
        report.add_problem(
            images.CORRUPT_BLOB, f"{message}; it cannot be put aside", f"rm {blob.path}"
        )
    else:
        report.repaired.append(f"{message}; put aside")
        report.blobs -= 1
        report.bytes -= blob.size


def _incomplete(store: Store, names: ImageNames, report: VerifyReport) -> list[IncompleteImage]:
    """Return the incomplete images, and count unnamed blobs."""
    walker = ContentsReader(store)
    needed: set[str] = set()
    found = []
    report.images = len(names.entries)
    for entry in names.entries:
        contents = walker.contents(entry.descriptor)
        needed |= contents.blobs.keys()
        if not contents.usable:
            found.append(IncompleteImage(entry, contents))
    orphans = [b for b in list_blob_files(store) if b.digest and b.digest not in needed]
    report.orphans += len(orphans)
    report.orphan_bytes += sum(b.size for b in orphans)
    return found


def _fetch_again(
    store: Store,
    incomplete: Iterable[IncompleteImage],
    fetch: ImageFetcher,
    reporter: Reporter,
    report: VerifyReport,
) -> set[str]:
    """Fetch images by digest, since tags may have moved; return the names now complete."""
    repaired_names: set[str] = set()
    for image in incomplete:
        top = image.entry.descriptor
        try:
            reference = replace(Reference.parse(image.entry.name), digest=top.digest)
            was_named = bool(store.names().named(str(reference)))
            for platform in sorted(image.platforms(store)):
                fetch(store, [reference], platform, reporter)
        except DolmenError as error:
            report.problems += error.diagnostics
            continue
        if not was_named:
            with suppress(DolmenError):
                store.remove([str(reference)])
        if ContentsReader(store).contents(top).usable:
            repaired_names.add(image.entry.name)
    return repaired_names
