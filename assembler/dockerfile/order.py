"""A package with a Dockerfile, made into images: what it needs is gathered, then it is built."""

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
from assembler.dockerfile.assembling import assemble
from assembler.dockerfile.bases import bring, there
from assembler.dockerfile.build_inputs import BuildInputs
from assembler.dockerfile.builders import BUILDKIT, Builders
from assembler.dockerfile.context import Context, read_ignored
from assembler.dockerfile.depends import add_images
from assembler.dockerfile.inventory import attested
from assembler.dockerfile.stages import Arguments, plan
from assembler.dockerfile.syntax import read_dockerfile
from assembler.dockerfile.terms import Terms
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
    from assembler.dockerfile.bases import Bases
    from assembler.dockerfile.stages import Plan
    from assembler.events import Reporter
    from assembler.oci import Platform, Store, WrittenImage

_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"
IN_PROCESS = "in process"


@dataclass(frozen=True, slots=True)
class DockerOrder:
    """An image to be made of a package's Dockerfile."""

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
    terms: Terms = field(default_factory=Terms)

    @property
    def path(self) -> Path:
        """Return the Dockerfile."""
        return self.package.directory / self.dockerfile

    def plan(self) -> Plan:
        """Read the Dockerfile for the platform."""
        return plan(
            read_dockerfile(self.path), Arguments(self.arguments, host_platform(), self.platform)
        )


def make(
    store: Store, order: DockerOrder, sources: ImageSources, builders: Builders, reporter: Reporter
) -> WrittenImage:
    """Make the image for one platform."""
    made = order.plan()
    beyond = made.first_unsupported()
    builder = builders.choose(made, beyond) if beyond is not None else None
    if order.terms.scanner is not None and (builder is None or builder.name != BUILDKIT):
        what = "the image's own package databases are listed"
        reporter.emit(LogMessage(f"{order.path}: BuildKit alone runs scanners; {what}"))
    bases = bring(made, sources, reporter)
    inputs = inputs_of(order, made, bases.digests(), builder.name if builder else IN_PROCESS)
    with workspace(store) as directory:
        context = context_of(order)
        # Pinned by build.yml, which is part of the tree: no inputs of their own.
        add_images(context, order.package, order.platform, sources, (directory, reporter))
        ingredients = BuildInputs(
            context=context,
            bases=bases,
            time=order.time,
            workspace=directory,
            labels=order.labels,
            annotations=_annotations(made, bases, inputs),
        )
        if builder is None:
            image = assemble(store, made, ingredients)
        else:
            image = builder.build(store, made, ingredients, order.terms)
    return attested(store, image, order.name, order.time, bases.images.values())


def inputs_of(
    order: DockerOrder, made: Plan, bases: Mapping[str, str], builder: str
) -> dict[str, str]:
    """Return everything that decides what the image is, each under a name for people."""
    inputs = dict(order.inputs)
    inputs |= {f"image {name}": digest for name, digest in bases.items()}
    declared = made.declared()
    inputs |= {f"argument {k}": v for k, v in order.arguments.items() if k in declared}
    if builder:
        inputs[BUILDER_INPUT] = builder
    if order.terms.network:
        inputs["network"] = "allowed"
    return inputs


def inputs_now(store: Store, order: DockerOrder) -> dict[str, str]:
    """Return what would go into the image now, as far as the store knows it.

    The builder is part of it if somebody wants one by name, and one is needed.
    """
    made = order.plan()
    builder = order.terms.builder if made.first_unsupported() is not None else ""
    return inputs_of(order, made, there(store, made).digests(), builder)


def context_of(order: DockerOrder) -> Context:
    """Return the files that the Dockerfile may take."""
    package = order.package
    context = Context(order.time)
    context.add_directory(
        package.directory, ignored=read_ignored(package.directory, order.dockerfile)
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
            unused = _locked(left)
            if unused is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(unused)
        directory = Path(mkdtemp(dir=parent))
        lock = _locked(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked(directory: Path) -> int | None:
    """Lock a directory; return nothing if somebody else has, or has just removed it."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if try_lock(handle):
        return handle
    os.close(handle)
    return None


def _annotations(made: Plan, bases: Bases, inputs: Mapping[str, str]) -> dict[str, str]:
    annotations = {INPUTS_ANNOTATION: inputs_annotation(inputs)}
    base = made.target.base
    key = (base, made.target.platform)
    if key in bases.images:
        image = bases.images[key]
        annotations |= {_BASE_NAME: str(image.reference), _BASE_DIGEST: image.digest}
    return annotations
