"""What a build of packages would do, without doing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from assembler.debian.lock import LOCK_FILE
from assembler.errors import DolmenError
from assembler.oci import Platform
from assembler.packages.batch import check_package_options, job_of
from assembler.packages.build_steps import plan_steps
from assembler.packages.dependencies import in_build_order
from assembler.packages.package_build import BuildContext, compare_inputs, dockerfile_build_of
from assembler.packages.tags import is_lasting

if TYPE_CHECKING:
    from assembler.config.package_model import Package
    from assembler.events import Reporter
    from assembler.oci import Store
    from assembler.packages.options import PackageBuildOptions
    from assembler.packages.package_build import PackageJob


def describe_steps(
    packages: Sequence[Package], options: PackageBuildOptions, reporter: Reporter
) -> Iterator[str]:
    """Yield lines for people: for each package and platform, what a build would do."""
    check_package_options(options)
    context = BuildContext.open(options, reporter)
    store = context.sources.open_store()
    jobs = {package.directory: job_of(package, options) for package in packages}
    if not options.no_build:
        ordered = in_build_order(packages, options.arguments, options.dockerfile)
        for step in plan_steps(ordered, jobs, options.for_dependency()):
            for platform in step.job.platforms:
                yield from _of_platform(store, step.job, platform, context)
    for job in jobs.values():
        if options.load:
            yield f"{job.name}: load into the Docker daemon"
        if options.push:
            yield f"{job.name}: push to {job.name.reference().registry}"


def _of_platform(
    store: Store, job: PackageJob, platform: Platform, context: BuildContext
) -> Iterator[str]:
    head = f"{job.name} for {platform}"
    _, before, different = compare_inputs(store, job, platform)
    if before is not None and not different and is_lasting(job.name) and not job.options.force:
        yield f"{head}: is there, nothing to build"
        return
    why = f", because of {', '.join(different)}" if different else ""
    package = job.package
    if package.build.debs is not None:
        lock = package.directory / LOCK_FILE
        how = f"with the packages of {lock}" if lock.is_file() else "with the newest packages"
        yield f"{head}: build {how}{why}"
        return
    order = dockerfile_build_of(job, platform, {})
    made = order.plan()
    beyond = made.first_unsupported()
    if beyond is None:
        yield f"{head}: build in process{why}"
        return
    try:
        builder = context.builders.choose(made, beyond)
    except DolmenError as error:
        yield f"{head}: cannot be built{why}: {error.diagnostics[0].message}"
        return
    yield f"{head}: build by {builder.name}{why}"
    for command in builder.intended(made, order.terms):
        yield f"    {command}"
