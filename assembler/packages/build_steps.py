"""The steps of a batch: each package that is built, and what of others it uses, per platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.errors import DolmenError
from assembler.oci import Platform, Reference, host_platform
from assembler.packages.package_build import (
    PackageJob,
    dockerfile_build_of,
    platforms_of,
)
from assembler.packages.tags import name_of

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.config.package_model import Package
    from assembler.packages.dependencies import PackageNode
    from assembler.packages.options import PackageBuildOptions
    from assembler.packages.tags import Naming

Uses = Mapping["Path", frozenset[Platform]]


@dataclass(frozen=True, slots=True)
class Step:
    """A package to be built, after others."""

    job: PackageJob
    # For each platform, which packages it uses, made for which platforms.
    uses: Mapping[Platform, Uses] = field(default_factory=dict)

    @property
    def key(self) -> Path:
        """Return what tells it from other packages."""
        return self.job.package.directory.resolve()

    @property
    def needs(self) -> frozenset[Path]:
        """Return the packages that come before it."""
        return frozenset(key for uses in self.uses.values() for key in uses)


def plan_steps(
    ordered: Sequence[PackageNode], asked: Mapping[Path, PackageJob], options: PackageBuildOptions
) -> tuple[Step, ...]:
    """Return what is to be built, in order; dependencies for the platforms that need them.

    A compiler that runs on this machine is not made for the machines that it compiles for.
    """
    wanted: dict[Path, set[Platform]] = {}
    found: list[Step] = []
    for one in reversed(ordered):
        package = one.package
        if one.asked:
            job = asked[package.directory]
        else:
            platforms = tuple(p for p in platforms_of(package) if p in wanted.get(one.key, ()))
            job = PackageJob(package, name_of(package, options.naming), platforms, options)
        if not job.platforms:
            continue
        needed = {other.key: other.package for other in ordered if other.key in one.needs}
        step = Step(job, {p: _uses(job, p, needed, options.naming) for p in job.platforms})
        found.append(step)
        for uses in step.uses.values():
            for key, platforms_used in uses.items():
                wanted.setdefault(key, set()).update(platforms_used)
    return tuple(reversed(found))


def _uses(
    job: PackageJob, platform: Platform, needed: Mapping[Path, Package], naming: Naming
) -> Uses:
    """Return for which platforms a package uses the images of others.

    Where it names them only in arguments they may be wanted for this machine or for the target.
    """
    named: dict[str, set[Platform]] = {}
    with suppress(DolmenError):  # it is told when the package is built
        if needed and job.package.build.debs is None:
            for name, chosen in dockerfile_build_of(job, platform, {}).plan().images():
                uses = named.setdefault(str(Reference.parse(name)), set())
                uses.add(Platform.parse(chosen) if chosen else platform)
    both = {platform, host_platform()}
    return {
        key: frozenset(named.get(str(name_of(package, naming).reference()), both))
        for key, package in needed.items()
    }
