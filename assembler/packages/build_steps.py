"""The steps of a batch: the packages to build, and the images that each uses per platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.errors import DolmenError
from assembler.oci import Platform, Reference, host_platform
from assembler.packages.build_arguments import toolchain_reference
from assembler.packages.jobs import PackageJob, plan_job, target_platforms
from assembler.packages.tags import derive_name

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.config import Package
    from assembler.packages.dependencies import PackageNode
    from assembler.packages.options import PackageBuildOptions
    from assembler.packages.tags import Naming

Uses = Mapping["Path", frozenset[Platform]]


@dataclass(frozen=True, slots=True)
class Step:
    """A package to build, after those that it needs."""

    job: PackageJob
    # By platform: the packages that it uses, with their platforms.
    uses: Mapping[Platform, Uses] = field(default_factory=dict)

    @property
    def key(self) -> Path:
        """Return the unique key of the package."""
        return self.job.package.directory.resolve()

    @property
    def needs(self) -> frozenset[Path]:
        """Return the packages that are built before it."""
        return frozenset(key for uses in self.uses.values() for key in uses)


def plan_steps(
    ordered: Sequence[PackageNode], jobs: Mapping[Path, PackageJob], options: PackageBuildOptions
) -> tuple[Step, ...]:
    """Return the steps in build order; dependencies are built for the platforms that use them.

    A compiler that runs on this machine is not built for the platforms that it compiles for.
    """
    used: dict[Path, set[Platform]] = {}
    steps: list[Step] = []
    for node in reversed(ordered):
        package = node.package
        if node.requested:
            job = jobs[package.directory]
        else:
            platforms = tuple(p for p in target_platforms(package) if p in used.get(node.key, ()))
            job = PackageJob(package, derive_name(package, options.naming), platforms, options)
        if not job.platforms:
            continue
        job = plan_job(job, node.dockerfile)
        needed = {other.key: other.package for other in ordered if other.key in node.needs}
        step = Step(job, {p: _package_uses(job, p, needed, options.naming) for p in job.platforms})
        steps.append(step)
        for uses in step.uses.values():
            for key, platforms_used in uses.items():
                used.setdefault(key, set()).update(platforms_used)
    return tuple(reversed(steps))


def _package_uses(
    job: PackageJob, platform: Platform, needed: Mapping[Path, Package], naming: Naming
) -> Uses:
    """Return the platforms for which a package uses the images of others.

    An image that only arguments name may be used on this machine or on the target.
    """
    named: dict[str, set[Platform]] = {}
    with suppress(DolmenError):  # the build of the package reports the error
        if needed and job.package.build.debs is None:
            for name, chosen in job.dockerfile_build(platform).plan.images():
                uses = named.setdefault(str(Reference.parse(name)), set())
                uses.add(Platform.parse(chosen) if chosen else platform)
        for section in (job.package.build.go, job.package.build.linux):
            if section is not None:
                toolchain = toolchain_reference(job.package, section, naming)
                named[str(toolchain)] = {host_platform()}
    both = {platform, host_platform()}
    return {
        key: frozenset(named.get(str(derive_name(package, naming).reference()), both))
        for key, package in needed.items()
    }
