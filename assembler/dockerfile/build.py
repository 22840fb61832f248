"""A package with a Dockerfile, plan into images: what it needs is gathered, then it is built."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.dockerfile.base_images import fetch_base_images, stored_base_images
from assembler.dockerfile.build_inputs import BuildInputs
from assembler.dockerfile.builders import BUILDKIT, Builders
from assembler.dockerfile.context_tree import ContextTree, read_ignore_file
from assembler.dockerfile.docker_images import add_docker_images
from assembler.dockerfile.image_sbom import attach_sbom
from assembler.dockerfile.in_process_build import build_in_process
from assembler.dockerfile.options import DockerfileOptions
from assembler.dockerfile.stages import DockerfileArguments, plan_dockerfile
from assembler.dockerfile.syntax import read_dockerfile
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import LogMessage
from assembler.oci import (
    BUILDER_INPUT,
    INPUTS_ANNOTATION,
    ImageSources,
    hold_lock,
    host_platform,
    inputs_annotation,
    try_lock,
)

if TYPE_CHECKING:
    from assembler.config import Package
    from assembler.dockerfile.base_images import BaseImages
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.events import Reporter
    from assembler.oci import Platform, Store, WrittenImage

_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"
IN_PROCESS = "in process"


@dataclass(frozen=True, slots=True)
class DockerfileBuild:
    """An image to be plan of a package's Dockerfile."""

    package: Package
    platform: Platform
    arguments: Mapping[str, str]
    # What is known to decide the result already: the tree's hash.
    inputs: Mapping[str, str]
    labels: Mapping[str, str]
    # In seconds since 1970.
    time: int
    dockerfile: str
    # As people know the image, for what is attested.
    name: str
    options: DockerfileOptions = field(default_factory=DockerfileOptions)

    @property
    def path(self) -> Path:
        """Return the Dockerfile."""
        return self.package.directory / self.dockerfile

    def plan(self) -> DockerfilePlan:
        """Read the Dockerfile for the platform."""
        return plan_dockerfile(
            read_dockerfile(self.path),
            DockerfileArguments(self.arguments, host_platform(), self.platform),
        )


def build_image(
    store: Store,
    build: DockerfileBuild,
    sources: ImageSources,
    builders: Builders,
    reporter: Reporter,
) -> WrittenImage:
    """Make the image for one platform."""
    plan = build.plan()
    unsupported = plan.first_unsupported()
    builder = builders.choose(plan, unsupported) if unsupported is not None else None
    if build.options.scanner is not None and (builder is None or builder.name != BUILDKIT):
        what = "the image's own package databases are listed"
        reporter.emit(LogMessage(f"{build.path}: BuildKit alone runs scanners; {what}"))
    bases = fetch_base_images(plan, sources, reporter)
    inputs = _collect_inputs(build, plan, bases.digests(), builder.name if builder else IN_PROCESS)
    with workspace(store) as directory:
        context = _read_context(build)
        # Pinned by build.yml, which is part of the tree: no inputs of their own.
        add_docker_images(context, build.package, build.platform, sources, (directory, reporter))
        build_inputs = BuildInputs(
            context=context,
            base_images=bases,
            time=build.time,
            workspace=directory,
            labels=build.labels,
            annotations=_annotations(plan, bases, inputs),
        )
        if builder is None:
            image = build_in_process(store, plan, build_inputs)
        else:
            image = builder.build(store, plan, build_inputs, build.options)
    return attach_sbom(store, image, build.name, build.time, bases.images.values())


def _collect_inputs(
    build: DockerfileBuild, plan: DockerfilePlan, bases: Mapping[str, str], builder: str
) -> dict[str, str]:
    """Return everything that decides what the image is, each under a name for people."""
    inputs = dict(build.inputs)
    inputs |= {f"image {name}": digest for name, digest in bases.items()}
    declared = plan.declared_arguments()
    inputs |= {f"argument {k}": v for k, v in build.arguments.items() if k in declared}
    if builder:
        inputs[BUILDER_INPUT] = builder
    if build.options.network:
        inputs["network"] = "allowed"
    return inputs


def dockerfile_inputs(store: Store, build: DockerfileBuild) -> dict[str, str]:
    """Return what would go into the image now, as far as the store knows it.

    The builder is part of it if somebody wants one by name, and one is needed.
    """
    plan = build.plan()
    builder = build.options.builder if plan.first_unsupported() is not None else ""
    return _collect_inputs(build, plan, stored_base_images(store, plan).digests(), builder)


def _read_context(build: DockerfileBuild) -> ContextTree:
    """Return the files that the Dockerfile may take."""
    package = build.package
    context = ContextTree(build.time)
    context.add_directory(
        package.directory, ignored=read_ignore_file(package.directory, build.dockerfile)
    )
    for i, source in enumerate(package.build.extra_sources):
        directory = package.directory / source.source
        if not directory.is_dir():
            raise PackageError.of(
                packages.BAD_SOURCE,
                f"the extra source {source.source} is not a directory",
                place=package.build.positions.place_of("extra-sources", i),
            )
        context.add_directory(directory, str(source.destination))
    return context


@contextmanager
def workspace(store: Store) -> Iterator[Path]:
    """Give a directory below the store that is gone after the block.

    It is locked as long as it is used: those that a killed build has left are removed.
    """
    store.layout.prepare()
    parent = store.root.absolute() / "building"
    with wrap_os_errors(parent):
        parent.mkdir(exist_ok=True)
    with hold_lock(store.layout.locks / "building"), wrap_os_errors(parent):
        for left in parent.iterdir():
            unused = _try_lock_directory(left)
            if unused is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(unused)
        directory = Path(mkdtemp(dir=parent))
        lock = _try_lock_directory(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _try_lock_directory(directory: Path) -> int | None:
    """Lock a directory; return nothing if somebody else has, or has just removed it."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if try_lock(handle):
        return handle
    os.close(handle)
    return None


def _annotations(
    plan: DockerfilePlan, bases: BaseImages, inputs: Mapping[str, str]
) -> dict[str, str]:
    annotations = {INPUTS_ANNOTATION: inputs_annotation(inputs)}
    base = plan.target.base
    key = (base, plan.target.platform)
    if key in bases.images:
        image = bases.images[key]
        annotations |= {_BASE_NAME: str(image.reference), _BASE_DIGEST: image.digest}
    return annotations
