"""A package to build: its name, its platforms, its Dockerfile with all arguments."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.config import DEFAULT_GITREPO
from assembler.dockerfile import DockerfileBuild
from assembler.errors import PackageError
from assembler.oci import CONFIG_LABEL, Platform, Reference
from assembler.packages.build_arguments import collect_arguments, read_commit
from assembler.packages.options import PackageBuildOptions
from assembler.packages.tags import derive_name, is_lasting

if TYPE_CHECKING:
    from assembler.config import Package
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


def package_name(package: Package, options: PackageBuildOptions) -> PackageName:
    """Return the name of the package's image, or of its release."""
    name = derive_name(package, options.naming)
    return name if options.release is None else name.as_release(options.release)


def package_job(package: Package, options: PackageBuildOptions) -> PackageJob:
    """Return the job that builds a package with these options."""
    platforms = target_platforms(package, options.platforms, options.skip_platforms)
    return PackageJob(package, package_name(package, options), platforms, options)


def target_platforms(
    package: Package, only: tuple[Platform, ...] = (), without: tuple[Platform, ...] = ()
) -> tuple[Platform, ...]:
    """Return the platforms to build for: all of build.yml, or `only` these, minus `without`."""
    supported = [Platform.parse(arch) for arch in package.build.arches]
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


def dockerfile_build(
    job: PackageJob, platform: Platform, *, with_labels: bool = False
) -> DockerfileBuild:
    """Return the Dockerfile of a package, with all arguments for a platform."""
    package, build = job.package, job.package.build
    commit = read_commit(package, job.name, job.options.naming.commit)
    return DockerfileBuild(
        package=package,
        platform=platform,
        arguments=collect_arguments(
            package, job.name, commit, job.options.arguments, job.options.naming
        ),
        inputs={"tree": job.name.hash or NO_TREE_HASH},
        labels=image_labels(package) if with_labels else {},
        time=commit.time,
        dockerfile=job.options.dockerfile or build.dockerfile,
        name=str(job.name.reference()),
        options=job.options.dockerfile_options(build),
    )


def image_labels(package: Package) -> dict[str, str]:
    """Return the labels that build.yml gives the image."""
    labels = {}
    if package.build.label is not None:
        labels[CONFIG_LABEL] = json.dumps(package.build.label, sort_keys=True)
    if package.build.gitrepo != DEFAULT_GITREPO:
        labels[_SOURCE_LABEL] = package.build.gitrepo
    return labels
