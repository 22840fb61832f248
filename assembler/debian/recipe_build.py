"""Build the image of a recipe: resolve, fetch and unpack its packages, and attach an SBOM."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assembler.codes import packages
from assembler.debian.engine_protocol import PackageRequest, PinnedPackage, debian_architecture
from assembler.debian.firmware import FIRMWARE_PACKAGES, firmware_layer
from assembler.debian.kernel import KERNEL_PACKAGES, kernel_layer
from assembler.debian.layer import recipe_layer
from assembler.debian.layer_inputs import LayerInputs
from assembler.debian.lock import LOCK_FILE, PackageLock
from assembler.debian.package_files import read_package_files
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
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from assembler.config import DebsRecipe
    from assembler.debian.engine_protocol import ArchiveEngine
    from assembler.diagnostics import Diagnostic
    from assembler.events import Reporter
    from assembler.oci import Platform, Store

# The annotation of the manifest with all packages and their versions.
PACKAGES_ANNOTATION = "dolmen.debs"
_SOURCE_PREFIX = "linux-source-"
_ARCHITECTURE_LIST = re.compile(r"(?P<name>[^\s\[\]]+)\s*(?:\[(?P<only>[^\[\]]*)\])?\s*")


@dataclass(frozen=True, slots=True)
class RecipeBuild:
    """The inputs for the image of a recipe."""

    debs: DebsRecipe
    # The directory of build.yml, the lock and the sources of files.
    directory: Path
    platform: Platform
    # The image's reference, for the attestation.
    name: str
    labels: Mapping[str, str]
    lock: PackageLock | None = None
    # The digests of the inputs, for the annotation.
    inputs: Mapping[str, str] = field(default_factory=dict)
    # Compiled programs by their paths in the image, and their time.
    programs: Mapping[str, Path] = field(default_factory=dict)
    programs_timestamp: int = 0
    # Compiles the kernel of a package linux-source-… with this time, and returns the results.
    compile_kernel: Callable[[Path, int], Path] | None = None
    # The image gets what modules are compiled with, instead of the kernel.
    kernel_headers: bool = False

    @property
    def architecture(self) -> str:
        """Return Debian's name of the platform's architecture."""
        return debian_architecture(self.platform)


def recipe_request(debs: DebsRecipe, architecture: str) -> PackageRequest:
    """Return the request of a recipe for one architecture.

    A name may have a list of architectures, as in Build-Depends: `linux-image-riscv64 [riscv64]`.
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
    store: Store, build: RecipeBuild, engine: ArchiveEngine, reporter: Reporter
) -> WrittenImage:
    """Build the image and its SPDX document."""
    try:
        pinned = _select_packages(build, engine)
    except PackageError as error:
        raise PackageError([_with_lock_hints(d, build) for d in error.diagnostics]) from error
    if build.debs.kernel or build.debs.firmware:
        prefixes = KERNEL_PACKAGES + (FIRMWARE_PACKAGES if build.debs.firmware else ())
        if build.compile_kernel is not None:
            prefixes = (_SOURCE_PREFIX,)
        pinned = tuple(package for package in pinned if package.name.startswith(prefixes))
    files = dict(zip(pinned, _fetch_packages(engine, build, pinned), strict=True))
    kernel = _compiled_kernel(build, files)
    if build.kernel_headers:
        files = {p: path for p, path in files.items() if not p.name.startswith(_SOURCE_PREFIX)}
    inputs = LayerInputs(
        build.debs,
        build.architecture,
        read_package_files([*files.values()]),
        build.directory,
        build.programs,
        build.programs_timestamp,
        kernel,
    )
    what = pluralize(len(pinned), "Debian package") if pinned else "files"
    title = f"{'unpack' if pinned else 'lay out'} {what} for {build.platform}"
    with task(reporter, title) as progress:
        layer = add_layer(store, report_progress(_layer(inputs), progress))
    package_list = "; ".join(f"{package.name} {package.version}" for package in pinned)
    settings = ImageSettings(
        platform=build.platform,
        created=inputs.timestamp,
        history=_history(build, package_list),
        entrypoint=build.debs.entrypoint,
        command=build.debs.command,
        env=build.debs.env,
        workdir=build.debs.workdir,
        labels=build.labels,
        annotations={
            PACKAGES_ANNOTATION: package_list,
            INPUTS_ANNOTATION: inputs_annotation(build.inputs),
        },
    )
    image = add_image(store, [layer], settings)
    by_path = {path: package for package, path in files.items()}
    contents = [(package_file, by_path[package_file.path]) for package_file in inputs.packages]
    document: dict[str, Any] = recipe_document(
        build.name, image.digest, inputs.timestamp, build.debs.suite, contents
    )
    return WrittenImage(
        image, (add_attestation(store, build.name, image, SPDX_DOCUMENT, document),)
    )


def _compiled_kernel(build: RecipeBuild, files: Mapping[PinnedPackage, Path]) -> Path | None:
    """Compile the kernel of the one package that has a source; None if none is compiled."""
    if build.compile_kernel is None:
        return None
    sources = [path for package, path in files.items() if package.name.startswith(_SOURCE_PREFIX)]
    if len(sources) != 1:
        raise PackageError.of(
            packages.BAD_RECIPE,
            f"`linux` needs one package with the source of a kernel, and there are {len(sources)}",
            "name one, such as linux-source-6.12; see `apt-cache search linux-source`",
        )
    return build.compile_kernel(sources[0], read_package_files(sources)[0].timestamp)


def _layer(inputs: LayerInputs) -> Iterator[bytes | memoryview]:
    if inputs.debs.kernel:
        return kernel_layer(inputs)
    return firmware_layer(inputs) if inputs.debs.firmware else recipe_layer(inputs)


def _history(build: RecipeBuild, package_list: str) -> str:
    programs = "compiled " + ", ".join(f"/{path}" for path in sorted(build.programs))
    if not package_list and build.programs:
        return programs
    packages_text = f"Debian {build.debs.suite}: {package_list}"
    return f"{packages_text}; {programs}" if build.programs else packages_text


def _fetch_packages(
    engine: ArchiveEngine, build: RecipeBuild, pinned: Sequence[PinnedPackage]
) -> list[Path]:
    try:
        return engine.fetch(build.debs.suite, pinned)
    except PackageError as error:
        raise PackageError([_with_lock_hints(d, build) for d in error.diagnostics]) from error


def _with_lock_hints(diagnostic: Diagnostic, build: RecipeBuild) -> Diagnostic:
    """Add the lock that pins a missing package, and the archive's date, to the hints.

    What --offline lacks gets the command that fetches it.
    """
    if diagnostic.code is packages.NOT_IN_POOL:
        command = f"dolmen pkg build --platforms {build.platform} {build.directory}"
        return replace(diagnostic, hints=(*diagnostic.hints, f"run once while online: {command}"))
    if diagnostic.code is not packages.VERSION_NOT_FOUND or build.lock is None:
        return diagnostic
    lock = build.directory / LOCK_FILE
    snapshots = "; ".join(f"{a.suite} of {a.date}" for a in build.lock.archives if a.date)
    hints = [
        f"{lock} pins it; to pin the current version: dolmen pkg lock {build.directory}",
        "or name a mirror that keeps old versions with --debian-mirror",
    ]
    if snapshots:
        hints[1] += f" (the lock is from {snapshots})"
    return replace(diagnostic, hints=tuple(hints))


def _select_packages(build: RecipeBuild, engine: ArchiveEngine) -> tuple[PinnedPackage, ...]:
    request = recipe_request(build.debs, build.architecture)
    if not request.packages and (build.debs.files or build.programs):
        return ()  # the image has only the package's own files
    lock = build.lock
    if lock is None:
        return engine.resolve(request)
    if lock.suite != request.suite or lock.requests.get(request.architecture) != resolution_inputs(
        request
    ):
        raise PackageError.of(
            packages.BAD_LOCK,
            f"{build.directory / LOCK_FILE} is not for this recipe"
            + ("" if request.architecture in lock.packages else f" on {request.architecture}"),
            f"renew it: dolmen pkg lock {build.directory}",
        )
    return lock.packages[request.architecture]


def resolution_inputs(request: PackageRequest) -> tuple[str, ...]:
    """Return the parts of a request that affect the resolution, as they are in the lock."""
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
        architectures = (match["only"] or "").split()
        excluded = {name[1:] for name in architectures if name.startswith("!")}
        if (
            not architectures
            or architecture in architectures
            or (excluded and architecture not in excluded)
        ):
            yield match["name"]
