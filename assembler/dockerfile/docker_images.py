"""Images as files in the build context of a package: `depends.docker-images`."""

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
    from collections.abc import Iterator

    from assembler.config import DockerImages, Package
    from assembler.diagnostics import Place
    from assembler.events import Reporter
    from assembler.oci import Platform

_MAX_LIST_SIZE = 1 << 20


def docker_image_archives(
    package: Package,
    platform: Platform,
    sources: ImageSources,
    workspace: Path,
    reporter: Reporter,
) -> Iterator[tuple[str, Path]]:
    """Yield the images as archives for `docker load`, each with its path in the build context."""
    images = package.build.docker_images
    if images is None:
        return
    found = resolve_images(_references(package, images), platform, sources, reporter)
    if images.target is not None and len(found) > 1:
        raise PackageError.of(
            packages.BAD_DEPENDS,
            f"the file {images.target} can hold one image, not {len(found)}",
            "write target-dir instead of target: each image becomes a file in it",
            place=package.build.positions.place_of("depends", "docker-images", "target"),
        )
    for number, reference in enumerate(found):
        archive = workspace / f"depends-{number}.tar"
        options = ExportOptions(reference, ArchiveFormat.DOCKER, platform)
        with wrap_os_errors(archive), archive.open("xb") as file:
            export_archive(sources.open_store(), options, file, reporter)
        yield str(_archive_path(images, reference)), archive


def _archive_path(images: DockerImages, reference: Reference) -> PurePosixPath:
    if images.target is not None:
        return images.target
    directory = images.target_dir or PurePosixPath()
    return directory / f"{reference.repository.rpartition('/')[2]}.tar"


def _references(package: Package, images: DockerImages) -> dict[Reference, Place | None]:
    positions = package.build.positions
    if images.from_file is None:
        return {
            Reference.parse(name): positions.place_of("depends", "docker-images", "list", i)
            for i, name in enumerate(images.images)
        }
    path = package.directory / images.from_file
    place = positions.place_of("depends", "docker-images", "from-file")
    base = package.directory.resolve()
    if not path.resolve().is_relative_to(base) or not path.is_file():
        raise PackageError.of(
            packages.BAD_DEPENDS, f"the package has no file {images.from_file}", place=place
        )
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        lines = file.read(_MAX_LIST_SIZE).decode("utf-8", "replace").splitlines()
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
                f"the image {name!r} in {images.from_file} lacks a digest",
                f"pin it, so that the package stays the same: {name}@sha256:…",
                place=place,
            )
        found[reference] = place
    return found
