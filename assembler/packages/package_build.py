"""Building a package for its platforms: what is there is not made again, the rest is."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assembler.codes import packages
from assembler.config.package_model import DEFAULT_GITREPO
from assembler.debian.lock import LOCK_FILE, read_lock
from assembler.debian.options import archive_engine
from assembler.debian.recipe import Order, make
from assembler.dockerfile.builders import Builders
from assembler.dockerfile.order import DockerOrder
from assembler.dockerfile.order import inputs_now as dockerfile_inputs
from assembler.dockerfile.order import make as make_dockerfile
from assembler.errors import DolmenError, PackageError, wrap_os_errors
from assembler.events import LogMessage, task
from assembler.oci import (
    Image,
    Platform,
    Reference,
    changed_inputs,
    hold_lock,
    look_up_image,
    media_types,
    read_recorded_inputs,
    tag_images,
)
from assembler.packages.build_arguments import arguments_of, commit_of
from assembler.packages.options import PackageBuildOptions
from assembler.packages.tags import is_lasting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.config.package_model import Package
    from assembler.debian.engine import Engine
    from assembler.events import Reporter
    from assembler.oci import ImageSources, Store, WrittenImage
    from assembler.packages.remote import Remote
    from assembler.packages.tags import PackageName

_NO_TREE = "not in git"
# Nothing that goes into an image differs from what went into the one that is there.
_AS_WANTED: tuple[str, ...] = ()
_SOURCE = "org.opencontainers.image.source"


@dataclass(frozen=True, slots=True)
class PackageJob:
    """A package to build: its name, its platforms, and the options of the call."""

    package: Package
    name: PackageName
    platforms: tuple[Platform, ...]
    options: PackageBuildOptions = field(default_factory=PackageBuildOptions)


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What builds packages: the archive engine, the builders, and the sources of images."""

    engine: Engine
    # The sources of base images.
    sources: ImageSources
    builders: Builders

    @classmethod
    def open(cls, options: PackageBuildOptions, reporter: Reporter) -> BuildContext:
        """Return the context that the options describe."""
        store = options.sources.open_store()
        builders = Builders(store.root.absolute() / "buildah", reporter, options.builder)
        engine = archive_engine(store, options.debian, reporter)
        return cls(engine, options.sources, builders)

    @property
    def remote(self) -> Remote | None:
        """Return the registries that may have packages already, if any may be asked."""
        if self.sources.offline:
            return None
        from assembler.packages.remote import Remote  # noqa: PLC0415 - requests is slow to load

        return Remote(self.sources.registries)

    def reporting_to(self, reporter: Reporter) -> BuildContext:
        """Return the same context with builders that report to another reporter."""
        return replace(self, builders=replace(self.builders, reporter=reporter))


@dataclass(frozen=True, slots=True)
class PackageResult:
    """The image of a package: its name, and for which platforms it was made or was there."""

    name: str
    made: tuple[Platform, ...] = ()
    present: tuple[Platform, ...] = ()
    # Not built, because the registry has them.
    remote: tuple[Platform, ...] = ()
    # What went wrong, by platform.
    failures: Mapping[Platform, DolmenError] = field(default_factory=dict)
    # Not tried, because something that it needs is missing.
    left: tuple[Platform, ...] = ()

    @property
    def complete(self) -> bool:
        """Tell whether nothing failed or was skipped."""
        return not (self.failures or self.left)

    def as_json(self) -> dict[str, Any]:
        """Return the result for scripts."""
        return {
            "name": self.name,
            "built": [str(p) for p in self.made],
            "present": [str(p) for p in self.present],
            "remote": [str(p) for p in self.remote],
            "failed": [str(p) for p in self.failures],
            "skipped": [str(p) for p in self.left],
        }


def platforms_of(
    package: Package, only: tuple[Platform, ...] = (), without: tuple[Platform, ...] = ()
) -> tuple[Platform, ...]:
    """Return the platforms to build for: those of build.yml, as far as they are asked for."""
    offered = [Platform.parse(arch) for arch in package.build.arches]
    missing = [p for p in only if p not in offered]
    if missing:
        raise PackageError.of(
            packages.PLATFORM_NOT_SUPPORTED,
            f"{package.build.image} is not made for {', '.join(map(str, missing))}",
            f"arches in its build.yml has: {', '.join(package.build.arches)}",
            place=package.build.positions.place_of("arches"),
        )
    return tuple(p for p in dict.fromkeys(only or offered) if p not in without)


def build(
    store: Store, job: PackageJob, context: BuildContext, reporter: Reporter
) -> PackageResult:
    """Build what is missing, or raise what kept it from being built."""
    built = build_platforms(store, job, context, reporter)
    for error in built.failures.values():
        raise error
    return built


def build_platforms(
    store: Store, job: PackageJob, context: BuildContext, reporter: Reporter
) -> PackageResult:
    """Build what is missing, as far as it can be: a platform that fails does not end the others.

    Of two builds of one package at once, one waits for the other.
    """
    with store.in_use(), _alone(store, job.name.reference()):
        found = {p: _found(store, job, p) for p in job.platforms}
        present = tuple(p for p, changes in found.items() if changes == _AS_WANTED)
        missing = {p: changes for p, changes in found.items() if changes != _AS_WANTED}
        if not missing:
            reporter.emit(LogMessage(f"{job.name} is there, nothing to build"))
            return PackageResult(str(job.name), present=present)
        remote = _elsewhere(store, job, missing, context, reporter)
        missing = {p: changes for p, changes in missing.items() if p not in remote}
        if not missing:
            return PackageResult(str(job.name), present=present, remote=remote)
        for platform, changes in missing.items():
            if changes:
                what = f"{job.name} for {platform} is built again, because of {', '.join(changes)}"
                reporter.emit(LogMessage(what))
        making = _Making(store, job, context, reporter)
        made: dict[Platform, WrittenImage] = {}
        failures: dict[Platform, DolmenError] = {}
        for platform in missing:
            try:
                with task(reporter, f"build {job.name} for {platform}") as progress:
                    made[platform] = making.image(platform)
                    progress.outcome = "built"
            except DolmenError as error:
                failures[platform] = error
        if made:
            tag_images(store, _names(job.name), [*made.values()])
    return PackageResult(str(job.name), tuple(made), present, remote, failures)


def names_of(name: PackageName) -> list[Reference]:
    """Return the names that the image of a package has in the store."""
    return [Reference.parse(text) for text in _names(name)]


def _elsewhere(
    store: Store,
    job: PackageJob,
    missing: Mapping[Platform, tuple[str, ...] | None],
    context: BuildContext,
    reporter: Reporter,
) -> tuple[Platform, ...]:
    """Return the platforms that a registry has the image for; they are brought if that is wanted.

    Only names that stand for one content are looked for. Where the store's own image is not as it
    would be now, that of a registry counts only if it was brought and is.
    """
    wanted = [p for p, changes in missing.items() if job.options.fetches or not changes]
    if job.options.force or not is_lasting(job.name) or job.name.dirty or not wanted:
        return ()
    remote = context.remote
    if remote is None:
        return ()
    reference = job.name.reference()
    offered = remote.platforms(reference, reporter)
    there = tuple(p for p in wanted if any(o.satisfies(p) for o in offered))
    if not there:
        return ()
    if job.options.fetches:
        remote.fetch(store, reference, there, reporter)
        return tuple(p for p in there if not missing[p] or _found(store, job, p) == _AS_WANTED)
    which = ", ".join(map(str, there))
    said = f"{job.name} is at {reference.registry} for {which}, not built (--pull brings it)"
    reporter.emit(LogMessage(said))
    return there


@dataclass(frozen=True, slots=True)
class _Making:
    """A package being made for one platform after the other."""

    store: Store
    job: PackageJob
    context: BuildContext
    reporter: Reporter

    def image(self, platform: Platform) -> WrittenImage:
        """Make the image of the package for a platform."""
        package = self.job.package
        debs = package.build.debs
        labels = _labels(package)
        if debs is not None:
            name = str(self.job.name.reference())
            lock = read_lock(package.directory)
            inputs = current_inputs(self.store, self.job, platform)
            order = Order(debs, package.directory, platform, name, labels, lock, inputs)
            return make(self.store, order, self.context.engine, self.reporter)
        docker_order = dockerfile_build_of(self.job, platform, labels)
        return make_dockerfile(
            self.store, docker_order, self.context.sources, self.context.builders, self.reporter
        )


def dockerfile_build_of(
    job: PackageJob, platform: Platform, labels: Mapping[str, str]
) -> DockerOrder:
    """Return what is to be built of a package with a Dockerfile."""
    package, build = job.package, job.package.build
    commit = commit_of(package, job.name, job.options.naming.commit)
    return DockerOrder(
        package=package,
        platform=platform,
        arguments=arguments_of(
            package, job.name, commit, job.options.arguments, job.options.naming
        ),
        inputs={"tree": job.name.hash or _NO_TREE},
        labels=labels,
        time=commit.time,
        dockerfile=job.options.dockerfile or build.dockerfile,
        name=str(job.name.reference()),
        terms=job.options.terms_for(build),
    )


def _found(store: Store, job: PackageJob, platform: Platform) -> tuple[str, ...] | None:
    """Return what would go into the image now that did not; nothing if it is not there at all."""
    if job.options.force or not is_lasting(job.name):
        return None
    found = look_up_image(store, job.name.reference(), platform)
    if not isinstance(found, Image) or found.config.platform != platform:
        return None
    return _changed(store, job, found, platform)


def compare_inputs(
    store: Store, job: PackageJob, platform: Platform
) -> tuple[dict[str, str], dict[str, str] | None, tuple[str, ...]]:
    """Return what would go into an image, what went into the one in the store, what differs."""
    now = current_inputs(store, job, platform)
    found = look_up_image(store, job.name.reference(), platform)
    is_it = isinstance(found, Image) and found.config.platform == platform
    before = read_recorded_inputs(found) if isinstance(found, Image) and is_it else None
    return now, before, changed_inputs(before, now) if before is not None else ()


def _changed(store: Store, job: PackageJob, image: Image, platform: Platform) -> tuple[str, ...]:
    """Return what would go into the image that did not: the tag knows the tree alone."""
    before = read_recorded_inputs(image)
    if before is None:
        return ()  # it was made by something else, or before this was written down
    try:
        return changed_inputs(before, current_inputs(store, job, platform))
    except PackageError:
        return ()  # it could not be built now, and is good as it is


def current_inputs(store: Store, job: PackageJob, platform: Platform) -> dict[str, str]:
    """Return what would go into the image of a package, each input under a name for people."""
    package = job.package
    if package.build.debs is None:
        return dockerfile_inputs(store, dockerfile_build_of(job, platform, {}))
    lock = package.directory / LOCK_FILE
    inputs = {"tree": job.name.hash or _NO_TREE, "suite": package.build.debs.suite}
    if lock.is_file():
        with wrap_os_errors(lock, "read"):
            inputs["lock"] = "sha256:" + hashlib.sha256(lock.read_bytes()).hexdigest()
    return inputs


def _alone(store: Store, reference: Reference) -> AbstractContextManager[None]:
    store.layout.prepare()
    digest = hashlib.sha256(str(reference).encode()).hexdigest()[:32]
    return hold_lock(store.layout.locks / f"package-{digest}")


def _names(name: PackageName) -> list[str]:
    """Return the names to put the image under: `@pkg:` looks for the plain hash."""
    names = [str(name.reference())]
    if is_lasting(name) and name.hash != name.tag:
        plain = Reference.parse(f"{name.org}/{name.image}:{name.hash}")
        names.append(str(plain))
    return names


def _labels(package: Package) -> dict[str, str]:
    labels = {}
    if package.build.label is not None:
        labels[media_types.CONFIG_LABEL] = json.dumps(package.build.label, sort_keys=True)
    if package.build.gitrepo != DEFAULT_GITREPO:
        labels[_SOURCE] = package.build.gitrepo
    return labels
