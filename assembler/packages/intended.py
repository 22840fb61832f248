"""What a build of packages would do, without doing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from assembler.debian.lock import LOCK_FILE
from assembler.errors import DolmenError
from assembler.oci.platform import Platform
from assembler.packages.batch import Wish, job_of
from assembler.packages.building import compared, docker_order_for
from assembler.packages.ordering import with_needed
from assembler.packages.steps import Step, planned
from assembler.packages.tags import Naming, is_lasting

if TYPE_CHECKING:
    from assembler.config.package_model import Package
    from assembler.oci.store import Store
    from assembler.packages.building import Job, Means


def intended(store: Store, asked: Sequence[Package], wish: Wish, means: Means) -> Iterator[str]:
    """Yield lines for people: for each package and platform what would happen, in order."""
    jobs = {package.directory: job_of(package, wish) for package in asked}
    steps: Sequence[Step] = [Step(job) for job in jobs.values()]
    if not wish.no_build:
        ordered = with_needed(asked, wish.arguments, wish.dockerfile)
        steps = planned(ordered, jobs, Naming(org=wish.naming.org), wish.terms.builder)
        for step in steps:
            for platform in step.job.platforms:
                yield from _of_platform(store, step.job, platform, means)
    for job in jobs.values():
        if wish.load:
            yield f"{job.name}: load into the Docker daemon"
        if wish.push:
            yield f"{job.name}: push to {job.name.reference().registry}"


def _of_platform(store: Store, job: Job, platform: Platform, means: Means) -> Iterator[str]:
    head = f"{job.name} for {platform}"
    _, before, different = compared(store, job, platform)
    if before is not None and not different and is_lasting(job.name) and not job.force:
        yield f"{head}: is there, nothing to build"
        return
    why = f", because of {', '.join(different)}" if different else ""
    package = job.package
    if package.build.debs is not None:
        lock = package.directory / LOCK_FILE
        how = f"with the packages of {lock}" if lock.is_file() else "with the newest packages"
        yield f"{head}: build {how}{why}"
        return
    order = docker_order_for(job, platform, {})
    made = order.plan()
    beyond = made.beyond()
    if beyond is None:
        yield f"{head}: build in process{why}"
        return
    try:
        builder = means.builders.choose(made, beyond)
    except DolmenError as error:
        yield f"{head}: cannot be built{why}: {error.diagnostics[0].message}"
        return
    yield f"{head}: build by {builder.name}{why}"
    for command in builder.intended(made, order.terms):
        yield f"    {command}"
