"""Several packages at once: those that others need come first, and what is made is pushed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import packages as codes
from assembler.errors import DolmenError, PackageError
from assembler.oci.platform import Platform, host_platform
from assembler.oci.reference import Reference
from assembler.packages.arguments import GivenArguments
from assembler.packages.building import (
    Built,
    GivenTerms,
    Job,
    build,
    docker_order_for,
    names_of,
    platforms_of,
)
from assembler.packages.loading import load
from assembler.packages.ordering import with_needed
from assembler.packages.tags import Naming, is_lasting, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci.store import Store
    from assembler.packages.building import Means
    from assembler.packages.model import Package
    from assembler.packages.ordering import Wanted
    from assembler.packages.tags import PackageName


@dataclass(frozen=True, slots=True)
class Wish:
    """How packages are to be built, the same for all that are asked for."""

    naming: Naming = field(default_factory=Naming)
    only: tuple[Platform, ...] = ()
    without: tuple[Platform, ...] = ()
    arguments: GivenArguments = field(default_factory=GivenArguments)
    release: str | None = None
    force: bool = False
    # Bring what a registry has already.
    fetch: bool = False
    push: bool = False
    # Give them to the local Docker daemon, too.
    load: bool = False
    # Push what is there, and build nothing.
    no_build: bool = False
    dockerfile: str | None = None
    terms: GivenTerms = field(default_factory=GivenTerms)


def build_all(
    store: Store, asked: Sequence[Package], wish: Wish, means: Means, reporter: Reporter
) -> tuple[Built, ...]:
    """Build packages with the local ones they need; return what became of those asked for."""
    jobs = {package.directory: job_of(package, wish) for package in asked}
    done: dict[object, Built] = {}
    if wish.no_build:
        done = {key: _there(store, job) for key, job in jobs.items()}
    else:
        ordered = with_needed(asked, wish.arguments, wish.dockerfile)
        for job in _jobs(ordered, jobs, wish):
            done[job.package.directory] = build(store, job, means, reporter)
    if wish.load:
        names = [job.name.reference() for job in jobs.values()]
        load(store, names, reporter)
    if wish.push and means.remote is not None:
        for job in jobs.values():
            override = wish.force or not is_lasting(job.name)
            means.remote.push(store, names_of(job.name), reporter, override=override)
    return tuple(done[package.directory] for package in asked)


def name_for(package: Package, wish: Wish) -> PackageName:
    """Return what the package is called, as a release if it is to be one."""
    name = name_of(package, wish.naming)
    return name if wish.release is None else name.released(wish.release)


def job_of(package: Package, wish: Wish) -> Job:
    """Return what is to be built of a package that is asked for."""
    return Job(
        package,
        name_for(package, wish),
        platforms_of(package, wish.only, wish.without),
        wish.force,
        naming=wish.naming,
        arguments=wish.arguments,
        dockerfile=wish.dockerfile,
        terms=wish.terms,
        # What is pushed or loaded has to be here.
        fetch=wish.fetch or wish.push or wish.load,
    )


def _jobs(ordered: Sequence[Wanted], asked: Mapping[Path, Job], wish: Wish) -> tuple[Job, ...]:
    """Return what is to be built, in order; what others need, for the platforms they need it for.

    A compiler that runs on this machine is not made for the machines that it compiles for.
    """
    naming = Naming(org=wish.naming.org)
    wanted: dict[Path, set[Platform]] = {}
    found: list[Job] = []
    for one in reversed(ordered):
        package = one.package
        if one.asked:
            job = asked[package.directory]
        else:
            platforms = tuple(p for p in platforms_of(package) if p in wanted.get(one.key, ()))
            job = Job(package, name_of(package, naming), platforms, naming=naming)
        if not job.platforms:
            continue
        found.append(job)
        needed = {o.key: o.package for o in ordered if o.key in one.needs}
        for key, platforms_needed in _uses(job, needed, naming).items():
            wanted.setdefault(key, set()).update(platforms_needed)
    return tuple(reversed(found))


def _uses(job: Job, needed: Mapping[Path, Package], naming: Naming) -> dict[Path, set[Platform]]:
    """Return for which platforms a package uses the images of others: all, if it does not tell."""
    named: dict[str, set[Platform]] = {}
    with suppress(DolmenError):  # it is told when the package is built
        if needed and job.package.build.debs is None:
            for platform in job.platforms:
                for name, chosen in docker_order_for(job, platform, {}).plan().images():
                    uses = named.setdefault(str(Reference.parse(name)), set())
                    uses.add(Platform.parse(chosen) if chosen else platform)
    everything = {*job.platforms, host_platform()}
    return {
        key: named.get(str(name_of(package, naming).reference()), everything)
        for key, package in needed.items()
    }


def _there(store: Store, job: Job) -> Built:
    names = store.names()
    missing = [str(n) for n in names_of(job.name)[:1] if not names.named(str(n))]
    if missing:
        raise PackageError.of(
            codes.NOT_BUILT,
            f"{missing[0]} is not in the store",
            f"dolmen pkg build {job.package.directory}",
        )
    return Built(str(job.name), present=job.platforms)
