"""From a recipe to an image in the store: choose, fetch, lay over each other, describe."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.codes import packages
from assembler.debian.engine import PackageRequest, PinnedPackage, debian_architecture
from assembler.debian.kernel import kernel_layer
from assembler.debian.layer import LayerRecipe, read_package_files, recipe_layer
from assembler.debian.lock import LOCK_FILE, PackageLock
from assembler.debian.spdx import recipe_document
from assembler.errors import PackageError
from assembler.events import pluralize, task
from assembler.oci import (
    INPUTS_ANNOTATION,
    SPDX_DOCUMENT,
    ImageSettings,
    WrittenImage,
    add_attestation,
    add_image,
    add_layer,
    inputs_annotation,
    report_progress,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assembler.config import DebsRecipe
    from assembler.debian.engine import ArchiveEngine
    from assembler.diagnostics import Diagnostic
    from assembler.events import Reporter
    from assembler.oci import Platform, Store

# What was chosen, on the image's manifest: a line for each package.
PACKAGES_ANNOTATION = "dolmen.debs"
_ARCHITECTURE_LIST = re.compile(r"(?P<name>[^\s\[\]]+)\s*(?:\[(?P<only>[^\[\]]*)\])?\s*")


@dataclass(frozen=True, slots=True)
class RecipeBuild:
    """An image to be made of a recipe."""

    debs: DebsRecipe
    # Where build.yml, the lock and the sources of files are.
    directory: Path
    platform: Platform
    # As people know the image, for what is attested.
    name: str
    labels: Mapping[str, str]
    lock: PackageLock | None = None
    # What is known to go into it, for the record.
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        """Return what Debian calls the platform's architecture."""
        return debian_architecture(self.platform)


def recipe_request(debs: DebsRecipe, architecture: str) -> PackageRequest:
    """Return what a recipe asks for on one architecture.

    A package may be for some only, as Debian writes it: `linux-image-riscv64 [riscv64]`.
    """
    return PackageRequest(
        suite=debs.suite,
        architecture=architecture,
        packages=tuple(_names_for_architecture(debs.packages, architecture)),
        components=debs.components,
        exclude=tuple(_names_for_architecture(debs.exclude, architecture)),
        dependencies=not debs.no_deps,
    )


def build_recipe(
    store: Store, order: RecipeBuild, engine: ArchiveEngine, reporter: Reporter
) -> WrittenImage:
    """Make the image, and the document of what is in it."""
    chosen = _select_packages(order, engine)
    if order.debs.kernel:
        chosen = tuple(c for c in chosen if c.name.startswith(("linux-image-", "linux-modules-")))
    files = dict(zip(chosen, _fetch_packages(engine, order, chosen), strict=True))
    recipe = LayerRecipe(
        order.debs, order.architecture, read_package_files([*files.values()]), order.directory
    )
    title = f"lay out {pluralize(len(chosen), 'Debian package')} for {order.platform}"
    with task(reporter, title) as progress:
        write = kernel_layer if order.debs.kernel else recipe_layer
        made = add_layer(store, report_progress(write(recipe), progress))
    described = "; ".join(f"{c.name} {c.version}" for c in chosen)
    settings = ImageSettings(
        platform=order.platform,
        created=recipe.time,
        history=f"Debian {order.debs.suite}: {described}",
        entrypoint=order.debs.entrypoint,
        command=order.debs.command,
        env=order.debs.env,
        workdir=order.debs.workdir,
        labels=order.labels,
        annotations={
            PACKAGES_ANNOTATION: described,
            INPUTS_ANNOTATION: inputs_annotation(order.inputs),
        },
    )
    image = add_image(store, [made], settings)
    by_path = {path: one for one, path in files.items()}
    contents = [(i, by_path[i.path]) for i in recipe.ingredients]
    told: dict[str, Any] = recipe_document(
        order.name, image.digest, recipe.time, order.debs.suite, contents
    )
    return WrittenImage(image, (add_attestation(store, order.name, image, SPDX_DOCUMENT, told),))


def _fetch_packages(
    engine: ArchiveEngine, order: RecipeBuild, chosen: Sequence[PinnedPackage]
) -> list[Path]:
    try:
        return engine.fetch(order.debs.suite, chosen)
    except PackageError as error:
        raise PackageError([_with_lock_hints(d, order) for d in error.diagnostics]) from error


def _with_lock_hints(diagnostic: Diagnostic, order: RecipeBuild) -> Diagnostic:
    """Say of a package that is gone which lock wants it, and when the archive had it."""
    if diagnostic.code is not packages.VERSION_NOT_FOUND or order.lock is None:
        return diagnostic
    lock = order.directory / LOCK_FILE
    when = "; ".join(f"{a.suite} of {a.date}" for a in order.lock.archives if a.date)
    hints = [
        f"{lock} wants it; to choose what there is now: dolmen pkg lock {order.directory}",
        "or name a mirror that keeps old versions with --debian-mirror",
    ]
    if when:
        hints[1] += f" (the lock was made of {when})"
    return replace(diagnostic, hints=tuple(hints))


def _select_packages(order: RecipeBuild, engine: ArchiveEngine) -> tuple[PinnedPackage, ...]:
    request = recipe_request(order.debs, order.architecture)
    if not request.packages and order.debs.files:
        return ()  # an image of the package's own files alone
    lock = order.lock
    if lock is None:
        return engine.resolve(request)
    if lock.suite != request.suite or lock.wanted.get(request.architecture) != resolution_inputs(
        request
    ):
        raise PackageError.of(
            packages.BAD_LOCK,
            f"{order.directory / LOCK_FILE} is not of this recipe"
            + ("" if request.architecture in lock.chosen else f" on {request.architecture}"),
            f"renew it: dolmen pkg lock {order.directory}",
        )
    return lock.chosen[request.architecture]


def resolution_inputs(request: PackageRequest) -> tuple[str, ...]:
    """Return all that decides which packages are chosen."""
    return (
        *request.packages,
        *(f"without {name}" for name in request.exclude),
        *(f"component {name}" for name in request.components),
        *(() if request.dependencies else ("no dependencies",)),
    )


def _names_for_architecture(names: tuple[str, ...], architecture: str) -> Iterator[str]:
    for text in names:
        match = _ARCHITECTURE_LIST.fullmatch(text)
        if match is None:
            raise PackageError.of(
                packages.BAD_RECIPE,
                f"not the name of a Debian package: {text!r}",
                "write a name as busybox-static, or linux-image-riscv64 [riscv64] for one "
                "architecture only",
            )
        only = (match["only"] or "").split()
        without = {name[1:] for name in only if name.startswith("!")}
        if not only or architecture in only or (without and architecture not in without):
            yield match["name"]
