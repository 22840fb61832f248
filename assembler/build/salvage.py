"""Images that cannot be had, taken from the tar of an earlier build (`--input-tar`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from assembler.codes import output
from assembler.diagnostics import Diagnostic
from assembler.encode import ArchiveRecordInputs, SalvageError
from assembler.errors import DolmenError, PlanError
from assembler.events import LogMessage
from assembler.oci import Image, Store, equivalent_names, look_up_image, read_attestations
from assembler.rootfs import ArchiveTree, ImageTree, TreeRules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.build.prepared import PreparedBuild
    from assembler.diagnostics import Place
    from assembler.encode import SalvageArchive
    from assembler.events import Reporter
    from assembler.oci import Platform, Reference
    from assembler.rootfs import Plan

_AS = {TreeRules.ROOT: "init", TreeRules.VOLUME: "a volume", TreeRules.CONTAINER: "a container"}


def salvage_images(
    error: DolmenError,
    wanted: Mapping[Reference, Place | None],
    platform: Platform,
    store: Store,
    earlier: SalvageArchive,
    reporter: Reporter,
) -> dict[Reference, Image]:
    """Return every image: what the store lacks is taken from the archive, or `error` is raised."""
    names = store.names()
    found: dict[Reference, Image] = {}
    why: dict[Reference, str] = {}
    for reference in wanted:
        here = look_up_image(store, reference, platform, names=names)
        if isinstance(here, Image):
            found[reference] = here
            continue
        known = [e.descriptor.digest for s in equivalent_names(reference) for e in names.named(s)]
        try:
            found[reference] = earlier.image(reference, platform, known)
        except SalvageError as reason:
            why[reference] = str(reason)
    if why:
        raise type(error)(list(_explained(error, why, found, earlier))) from error
    for reference, image in found.items():
        if image.salvaged is not None:
            reporter.emit(LogMessage(f"{reference} cannot be had: it is taken from {earlier.path}"))
    return found


def _explained(
    error: DolmenError,
    why: Mapping[Reference, str],
    found: Mapping[Reference, Image],
    earlier: SalvageArchive,
) -> Iterator[Diagnostic]:
    """Yield what is said of images that are nowhere, with what the archive lacks of them."""
    for diagnostic in error.diagnostics:
        about = [r for r in why if str(r) in diagnostic.message]
        if about:
            hints = (f"--input-tar: {earlier.path} {why[r]}" for r in about)
            yield replace(diagnostic, hints=(*diagnostic.hints, *hints))
        elif not any(str(r) in diagnostic.message for r in found):
            yield diagnostic


def check(plan: Plan, earlier: SalvageArchive, *, decompress: bool) -> None:
    """Refuse a plan that needs more of such images than the archive has."""
    wrong = [
        Diagnostic(
            output.BAD_INPUT_TAR,
            f"{image.reference} cannot be had, and {earlier.path} {lacks}",
            place,
            ("bring the image: `dolmen cache pull`, or `dolmen cache import FILE`",),
        )
        for image, place, lacks in (*_files(plan, decompress=decompress), *_trees(plan))
    ]
    if wrong:
        raise PlanError(list(dict.fromkeys(wrong)))


def _files(plan: Plan, *, decompress: bool) -> Iterator[tuple[Image, Place | None, str]]:
    """Yield the files of the kernel's image that are not there as they are wanted."""
    wanted = [(p.image, p.origin.place, p.member) for p in plan.parts if isinstance(p, ArchiveTree)]
    if plan.boot is not None:
        kernel, ucode = plan.boot.kernel, plan.boot.ucode
        wanted += [(m.image, m.place, m.name) for m in (kernel, ucode) if m is not None]
        if (
            kernel.image.salvaged is not None
            and kernel.image.salvaged.kernel_decompressed > decompress
        ):
            yield kernel.image, kernel.place, "has its kernel unpacked (--decompress-kernel)"
    for image, place, name in wanted:
        if image.salvaged is not None and image.salvaged.file(name) is None:
            have = ", ".join(f.name for f in image.salvaged.files) or "nothing"
            yield image, place, f"has {have} of it for the kernel, not {name}"


def _trees(plan: Plan) -> Iterator[tuple[Image, Place | None, str]]:
    """Yield the images whose trees are not there under the rules they are wanted with."""
    for part in plan.parts:
        remains = part.image.salvaged if isinstance(part, ImageTree) else None
        if isinstance(part, ImageTree) and remains and remains.tree(part.rules.value) is None:
            have = " and ".join(_AS[TreeRules(t.rules)] for t in remains.trees) or "no tree"
            yield part.image, part.origin.place, f"has it as {have}, not as {_AS[part.rules]}"


def origins(prepared: PreparedBuild, store: Store) -> ArchiveRecordInputs:
    """Return what a tar of the system records of its images."""
    earlier = prepared.earlier
    said: dict[str, dict[str, Any]] = {}
    documents: set[str] = set()
    for reference, image in prepared.images.items():
        descriptors = [image.descriptor, image.manifest.config]
        if image.index is not None:
            descriptors.append(image.index)
        for descriptor in descriptors:
            if image.salvaged is not None and earlier is not None:
                data = earlier.documents[descriptor.digest]
            else:
                data = store.read(descriptor, str(reference))
            # What is no UTF-8 is no JSON either, and would not be here.
            documents.add(data.decode())
        said[str(reference)] = {
            "manifest": image.digest,
            "index": image.index.digest if image.index is not None else None,
            "attested": is_attested(image, store, earlier),
        }
    return ArchiveRecordInputs(said, sorted(documents), prepared.sbom)


def is_attested(image: Image, store: Store, earlier: SalvageArchive | None) -> bool:
    """Tell whether documents say something about the image, here or where it was had last."""
    if image.salvaged is None or earlier is None:
        return bool(read_attestations(store, image))
    return earlier.is_attested(str(image.reference))
