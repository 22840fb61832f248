"""A dry run: what a build of packages would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.debian import LOCK_FILE
from assembler.errors import DolmenError
from assembler.packages.batch import check_package_options
from assembler.packages.build_steps import plan_steps
from assembler.packages.dependencies import order_by_dependency
from assembler.packages.inputs import compare_inputs
from assembler.packages.jobs import package_jobs
from assembler.packages.package_build import BuildContext

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.config import Package
    from assembler.events import Reporter
    from assembler.oci import Platform, Store
    from assembler.packages.jobs import PackageJob
    from assembler.packages.options import PackageBuildOptions


def describe_steps(
    packages: Sequence[Package], options: PackageBuildOptions, reporter: Reporter
) -> Iterator[str]:
    """Yield a line of text for each package and platform: what a build would do."""
    check_package_options(options)
    context = BuildContext.open(options, reporter)
    store = context.sources.open_store()
    jobs = package_jobs(packages, options, reporter)
    packages = [package for package in packages if package.directory in jobs]
    if not options.no_build:
        ordered = order_by_dependency(packages, options.arguments, options.dockerfile)
        for step in plan_steps(ordered, jobs, options.for_dependency()):
            for platform in step.job.platforms:
                yield from _describe_platform(store, step.job, platform, context)
    for job in jobs.values():
        if options.load:
            yield f"{job.name}: load into the Docker daemon"
        if options.push:
            yield f"{job.name}: push to {job.name.reference().registry}"


def _describe_platform(
    store: Store, job: PackageJob, platform: Platform, context: BuildContext
) -> Iterator[str]:
    head = f"{job.name} for {platform}"
    inputs = compare_inputs(store, job, platform)
    is_current = inputs.recorded is not None and not inputs.changed and inputs.lasting
    if is_current and not job.options.force:
        yield f"{head}: up to date, nothing to build"
        return
    reason = f", because of {', '.join(inputs.changed)}" if inputs.changed else ""
    package = job.package
    if package.build.debs is not None:
        lock = package.directory / LOCK_FILE
        how = f"with the packages in {lock}" if lock.is_file() else "with the newest packages"
        yield f"{head}: build {how}{reason}"
        return
    build = job.dockerfile_build(platform)
    unsupported = build.plan.first_unsupported()
    if unsupported is None:
        yield f"{head}: build in process{reason}"
        return
    try:
        builder = context.builders.choose(build.plan, unsupported, offline=build.options.offline)
    except DolmenError as error:
        yield f"{head}: cannot be built{reason}: {error.diagnostics[0].message}"
        return
    yield f"{head}: build by {builder.name}{reason}"
    for command in builder.planned_commands(build.plan, build.options):
        yield f"    {command}"
