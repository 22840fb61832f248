"""A package to build: its name, its platforms, its Dockerfile planned for each platform."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.config import DEFAULT_GITREPO, LABEL_EXTENSIONS
from assembler.dockerfile import (
    DockerfileArguments,
    DockerfileBuild,
    plan_dockerfile,
    read_dockerfile,
)
from assembler.errors import DolmenError, ImageError, PackageError
from assembler.events import LogMessage
from assembler.oci import CONFIG_LABEL, EXTENSIONS_LABEL, Platform, Reference, host_platform
from assembler.packages.build_arguments import collect_arguments, read_commit
from assembler.packages.options import PackageBuildOptions
from assembler.packages.tags import derive_name, is_lasting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from assembler.config import Package
    from assembler.dockerfile import Dockerfile
    from assembler.events import Reporter
    from assembler.packages.tags import PackageName

NO_TREE_HASH = "not in git"
_SOURCE_LABEL = "org.opencontainers.image.source"


@dataclass(frozen=True, slots=True)
class PackageJob:
    """A package to build: its name, its platforms, and the options of the call."""

    package: Package
    name: PackageName
    platforms: tuple[Platform, ...]
    options: PackageBuildOptions = field(default_factory=PackageBuildOptions)
    # Set by `plan_job`: for each platform the build of its Dockerfile, or why there is none.
    builds: Mapping[Platform, DockerfileBuild | DolmenError] = field(default_factory=dict)

    def dockerfile_build(self, platform: Platform) -> DockerfileBuild:
        """Return the build for a platform of a planned job; raise the error of its planning."""
        build = self.builds[platform]
        if isinstance(build, DolmenError):
            raise build
        return build


def package_name(package: Package, options: PackageBuildOptions) -> PackageName:
    """Return the name of the package's image, or of its release."""
    name = derive_name(package, options.naming)
    return name if options.release is None else name.as_release(options.release)


def package_jobs(
    packages: Sequence[Package], options: PackageBuildOptions, reporter: Reporter
) -> dict[Path, PackageJob]:
    """Return by directory the jobs that build packages with these options.

    A package is built for those of the requested platforms that it supports; a platform that none
    of the packages supports is an error.
    """
    supported = {package.directory: supported_platforms(package) for package in packages}
    anywhere = {platform for found in supported.values() for platform in found}
    if packages and not set(options.platforms) <= anywhere:
        target_platforms(packages[0], tuple(p for p in options.platforms if p not in anywhere))
    jobs = {}
    for package in packages:
        own = supported[package.directory]
        left_out = [p for p in options.platforms if p not in own]
        if left_out:
            reporter.emit(
                LogMessage(
                    f"{package.build.image} is not built for {', '.join(map(str, left_out))}: "
                    f"`arches` in its build.yml lists {', '.join(package.build.arches)}"
                )
            )
        only = tuple(p for p in options.platforms if p in own)
        if options.platforms and not only:
            continue
        platforms = target_platforms(package, only, options.skip_platforms)
        name = package_name(package, options)
        jobs[package.directory] = PackageJob(package, name, platforms, options)
    return jobs


def package_job(package: Package, options: PackageBuildOptions) -> PackageJob:
    """Return the job that builds a package for all platforms of these options."""
    platforms = target_platforms(package, options.platforms, options.skip_platforms)
    return PackageJob(package, package_name(package, options), platforms, options)


def supported_platforms(package: Package) -> list[Platform]:
    """Return the platforms of build.yml."""
    supported = []
    for number, arch in enumerate(package.build.arches):
        try:
            supported.append(Platform.parse(arch))
        except ImageError as error:
            raise error.with_place(package.build.positions.place_of("arches", number)) from error
    return supported


def target_platforms(
    package: Package, only: tuple[Platform, ...] = (), without: tuple[Platform, ...] = ()
) -> tuple[Platform, ...]:
    """Return the platforms to build for: all of build.yml, or `only` these, minus `without`."""
    supported = supported_platforms(package)
    missing = [p for p in only if p not in supported]
    if missing:
        raise PackageError.of(
            packages.PLATFORM_NOT_SUPPORTED,
            f"{package.build.image} does not support {', '.join(map(str, missing))}",
            f"`arches` in its build.yml lists {', '.join(package.build.arches)}",
            place=package.build.positions.place_of("arches"),
        )
    return tuple(p for p in dict.fromkeys(only or supported) if p not in without)


def image_references(name: PackageName) -> list[Reference]:
    """Return the names of a package's image in the store; `@pkg:` refers to the plain hash."""
    references = [name.reference()]
    if is_lasting(name) and name.hash != name.tag:
        references.append(Reference.parse(f"{name.org}/{name.image}:{name.hash}"))
    return references


def plan_job(job: PackageJob, dockerfile: Dockerfile | None = None) -> PackageJob:
    """Return the job with its Dockerfile planned for each platform; errors are kept in it.

    The Dockerfile is read if the caller has not parsed it already. A job that is planned, or that
    has a recipe, is returned unchanged.
    """
    if job.builds or job.package.build.debs is not None:
        return job
    return replace(job, builds=_plan_builds(job, dockerfile))


def _read_dockerfile(package: Package, chosen: str | None) -> Dockerfile:
    """Read the Dockerfile of a package; build.yml is to blame unless the caller has chosen it."""
    try:
        return read_dockerfile(package.directory / (chosen or package.build.dockerfile))
    except PackageError as error:
        if chosen:
            raise
        positions = package.build.positions
        place = positions.place_of("dockerfile" if "dockerfile" in positions.children else "image")
        raise error.with_place(place) from error


def _plan_builds(
    job: PackageJob, dockerfile: Dockerfile | None
) -> dict[Platform, DockerfileBuild | DolmenError]:
    package, options = job.package, job.options
    name = options.dockerfile or package.build.dockerfile
    try:
        reference = job.name.reference()
        commit = read_commit(package, job.name, options.naming.commit)
        arguments = collect_arguments(package, job.name, commit, options.arguments, options.naming)
        if dockerfile is None:
            dockerfile = _read_dockerfile(package, options.dockerfile)
    except DolmenError as error:
        return dict.fromkeys(job.platforms, error)
    builds: dict[Platform, DockerfileBuild | DolmenError] = {}
    for platform in job.platforms:
        try:
            plan = plan_dockerfile(
                dockerfile, DockerfileArguments(arguments, host_platform(), platform)
            )
        except DolmenError as error:
            builds[platform] = error
            continue
        builds[platform] = DockerfileBuild(
            package=package,
            dockerfile=name,
            plan=plan,
            inputs={"tree": job.name.hash or NO_TREE_HASH},
            labels=image_labels(package),
            time=commit.time,
            name=str(reference),
            options=options.dockerfile_options(package.build),
        )
    return builds


def image_labels(package: Package) -> dict[str, str]:
    """Return the labels that build.yml gives the image."""
    labels = {}
    if package.build.label is not None:
        settings = dict(package.build.label)
        own = {key: settings.pop(key) for key in LABEL_EXTENSIONS if key in settings}
        labels[CONFIG_LABEL] = json.dumps(settings, sort_keys=True)
        if own:
            labels[EXTENSIONS_LABEL] = json.dumps(own, sort_keys=True)
    if package.build.gitrepo != DEFAULT_GITREPO or "gitrepo" in package.build.positions.children:
        labels[_SOURCE_LABEL] = package.build.gitrepo
    return labels
