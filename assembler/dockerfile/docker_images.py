"""Images that a package wants as files in its build context: `depends.docker-images`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import ImageError, PackageError, wrap_os_errors
from assembler.oci import (
    ArchiveFormat,
    ExportOptions,
    ImageSources,
    Reference,
    export_archive,
    resolve_images,
)

if TYPE_CHECKING:
    from assembler.config import DockerImages, Package
    from assembler.diagnostics import Place
    from assembler.dockerfile.context_tree import ContextTree
    from assembler.events import Reporter
    from assembler.oci import Platform, Store

_MOST_TEXT = 1 << 20


def add_docker_images(
    context: ContextTree,
    package: Package,
    platform: Platform,
    sources: ImageSources,
    where: tuple[Path, Reporter],
) -> None:
    """Put the images into the context, as `docker load` reads them."""
    wanted = package.build.docker_images
    if wanted is None:
        return
    workspace, reporter = where
    references = _references(package, wanted)
    found = resolve_images(references, platform, sources, reporter)
    if wanted.target is not None and len(found) > 1:
        raise PackageError.of(
            packages.BAD_DEPENDS,
            f"{wanted.target} is to hold {len(found)} images, and a file is made of one",
            "give a target-dir instead of target: every image becomes a file in it",
            place=package.build.positions.place_of("depends", "docker-images", "target"),
        )
    for number, reference in enumerate(found):
        place = workspace / f"depends-{number}.tar"
        _write_archive(
            sources.open_store(),
            ExportOptions(reference, ArchiveFormat.DOCKER, platform),
            place,
            reporter,
        )
        context.add_file(str(_archive_path(wanted, reference)), place)


def _archive_path(wanted: DockerImages, reference: Reference) -> PurePosixPath:
    if wanted.target is not None:
        return wanted.target
    directory = wanted.target_dir or PurePosixPath()
    return directory / f"{reference.repository.rpartition('/')[2]}.tar"


def _write_archive(store: Store, download: ExportOptions, place: Path, reporter: Reporter) -> None:
    with wrap_os_errors(place), place.open("xb") as file:
        export_archive(store, download, file, reporter)


def _references(package: Package, wanted: DockerImages) -> dict[Reference, Place | None]:
    positions = package.build.positions
    if wanted.from_file is None:
        return {
            Reference.parse(name): positions.place_of("depends", "docker-images", "list", i)
            for i, name in enumerate(wanted.images)
        }
    path = package.directory / wanted.from_file
    place = positions.place_of("depends", "docker-images", "from-file")
    base = package.directory.resolve()
    if not path.resolve().is_relative_to(base) or not path.is_file():
        raise PackageError.of(
            packages.BAD_DEPENDS, f"the package has no file {wanted.from_file}", place=place
        )
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        lines = file.read(_MOST_TEXT).decode("utf-8", "replace").splitlines()
    found: dict[Reference, Place | None] = {}
    for name in (line.strip() for line in lines):
        if not name or name.startswith("#"):
            continue
        try:
            reference = Reference.parse(name)
        except ImageError as error:
            raise error.with_place(place) from error
        if not reference.pinned:
            raise PackageError.of(
                packages.BAD_DEPENDS,
                f"the image {name!r} in {wanted.from_file} lacks a digest",
                f"pin it, as {name}@sha256:…, so that the package stays the same",
                place=place,
            )
        found[reference] = place
    return found
