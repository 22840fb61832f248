"""Building several packages: dependencies first, in parallel; then loading and pushing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.codes import packages as codes
from assembler.codes import usage
from assembler.errors import DolmenError, PackageError, UsageError
from assembler.events import CallbackReporter, LogMessage
from assembler.oci import Reference
from assembler.packages.batch_problems import batch_problems
from assembler.packages.build_steps import Step, plan_steps
from assembler.packages.dependencies import order_by_dependency
from assembler.packages.dependency_pool import run_in_order
from assembler.packages.docker_load import load_into_docker
from assembler.packages.jobs import image_references, package_jobs, package_name
from assembler.packages.logs import PackageLog, log_path
from assembler.packages.options import PackageBuildOptions
from assembler.packages.package_build import BuildContext, PackageResult, build_platforms
from assembler.packages.package_reader import read_packages
from assembler.packages.tags import is_lasting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from assembler.config import Package
    from assembler.diagnostics import Diagnostic
    from assembler.events import Event, Reporter
    from assembler.oci import Platform, Store
    from assembler.packages.dependency_pool import Cancellation
    from assembler.packages.jobs import PackageJob
    from assembler.packages.tags import PackageName

# More do not help: a builder uses several processors itself.
_MAX_PARALLEL = 4


@dataclass(frozen=True, slots=True)
class PackageBuildResult:
    """The results of the requested packages, and the errors of all packages that were built."""

    packages: tuple[PackageResult, ...]
    # Each error once; the last one lists what was not built.
    problems: tuple[Diagnostic, ...] = ()

    def check(self) -> None:
        """Raise PackageError if there are problems."""
        if self.problems:
            raise PackageError(self.problems)

    def as_json(self) -> dict[str, Any]:
        """Return the result for scripts."""
        return {
            "packages": [package.as_json() for package in self.packages],
            "errors": [problem.as_json() for problem in self.problems],
        }


def build_directories(
    directories: Sequence[str | Path] | str | Path,
    options: PackageBuildOptions | None = None,
    *,
    progress: Callable[[Event], None] | None = None,
) -> PackageBuildResult:
    """Build the packages in directories, and the local ones that they need.

    The result contains the errors of packages; `check` raises them.
    """
    options = options if options is not None else PackageBuildOptions()
    packages = _read_packages(directories, options)
    return build_packages(packages, options, CallbackReporter.of(progress))


def package_names(
    directories: Sequence[str | Path] | str | Path, options: PackageBuildOptions | None = None
) -> list[PackageName]:
    """Return the names of the images of packages; nothing is built."""
    options = options if options is not None else PackageBuildOptions()
    return [package_name(package, options) for package in _read_packages(directories, options)]


def _read_packages(
    directories: Sequence[str | Path] | str | Path, options: PackageBuildOptions
) -> list[Package]:
    paths = [directories] if isinstance(directories, str | Path) else directories
    return read_packages(paths, options.build_file)


def build_packages(
    packages: Sequence[Package], options: PackageBuildOptions, reporter: Reporter
) -> PackageBuildResult:
    """Build packages and the local ones that they need, in parallel where possible.

    A package that fails stops only the packages that need it.
    """
    return build_in_context(packages, options, BuildContext.open(options, reporter), reporter)


def build_in_context(
    packages: Sequence[Package],
    options: PackageBuildOptions,
    context: BuildContext,
    reporter: Reporter,
) -> PackageBuildResult:
    """Build packages in an open context."""
    check_package_options(options)
    store = context.sources.open_store()
    jobs = package_jobs(packages, options, reporter)
    packages = [package for package in packages if package.directory in jobs]
    if options.no_build:
        steps = tuple(Step(job) for job in jobs.values())
        results = {step.key: _stored_result(store, step.job) for step in steps}
        problems: tuple[Diagnostic, ...] = ()
    else:
        ordered = order_by_dependency(packages, options.arguments, options.dockerfile)
        steps = plan_steps(ordered, jobs, options.for_dependency())
        if context.sources.pull:
            names = (step.job.name for step in steps)
            context = context.with_local_images(r for n in names for r in image_references(n))
        batch = _BatchBuild(store, context, reporter, {step.key: step for step in steps})
        results = batch.build()
        problems = batch_problems(batch.steps, results, batch.log_path)
    complete = [
        job
        for job in jobs.values()
        if (result := results.get(job.package.directory.resolve())) and result.complete
    ]
    if options.load:
        references = [job.name.reference() for job in complete]
        load_into_docker(store, references, reporter, offline=options.sources.offline)
    if options.push and (remote := context.remote) is not None:
        for job in complete:
            override = options.force or not is_lasting(job.name)
            remote.push(store, _push_references(job), reporter, override=override)
    requested = (results.get(package.directory.resolve()) for package in packages)
    return PackageBuildResult(tuple(r for r in requested if r is not None), problems)


def check_package_options(options: PackageBuildOptions) -> None:
    """Refuse options that contradict each other."""
    problem = None
    if options.no_build and options.force:
        problem = ("--nobuild and --force exclude each other", "remove one of them")
    elif options.no_build and not (options.push or options.load):
        problem = ("--nobuild leaves nothing to do", "use it with --push or --docker")
    elif options.fetch and options.force:
        problem = ("--pull and --force exclude each other", "remove one of them")
    elif options.sources.offline and (options.push or options.fetch):
        problem = ("--offline excludes --push and --pull", "remove one of them")
    elif options.sources.offline and options.debian.refresh:
        problem = ("--offline excludes --refresh", "remove one of them")
    if problem:
        raise UsageError.of(usage.BAD_OPTION, *problem)


@dataclass(slots=True)
class _BatchBuild:
    """The build of a batch."""

    store: Store
    context: BuildContext
    reporter: Reporter
    steps: Mapping[Path, Step]
    results: dict[Path, PackageResult] = field(default_factory=dict)

    def build(self) -> dict[Path, PackageResult]:
        """Build all packages; failures are in the results."""
        needs = {key: step.needs & self.steps.keys() for key, step in self.steps.items()}
        run_in_order(needs, self._build, min(_MAX_PARALLEL, os.cpu_count() or 1))
        if any(result.built for result in self.results.values()):
            self.reporter.emit(LogMessage(f"build logs are in {self._logs}"))
        return self.results

    def log_path(self, step: Step) -> Path:
        """Return the log file of a package."""
        return log_path(self._logs, str(step.job.name))

    @property
    def _logs(self) -> Path:
        return self.store.root.absolute() / "logs"

    def _build(self, key: Path, cancellation: Cancellation) -> None:
        step = self.steps[key]
        platforms = tuple(p for p in step.job.platforms if not self._lacks_dependency(step, p))
        skipped = tuple(p for p in step.job.platforms if p not in platforms)
        if not platforms:
            self.results[key] = PackageResult(str(step.job.name), skipped=skipped)
            return
        prefix = f"{step.job.package.build.image}: " if len(self.steps) > 1 else ""
        log = PackageLog(self.log_path(step), self.reporter, cancellation, prefix)
        last_line = "== interrupted"
        try:
            job = replace(step.job, platforms=platforms)
            result = build_platforms(self.store, job, self.context.reporting_to(log), log)
            last_line = "\n".join(str(error) for error in result.failures.values())
            self.results[key] = replace(result, skipped=skipped)
        except DolmenError as error:
            # An error of all platforms, such as a registry's.
            last_line = str(error)
            self.results[key] = PackageResult(
                str(step.job.name), failures=dict.fromkeys(platforms, error), skipped=skipped
            )
        finally:
            log.close(last_line)

    def _lacks_dependency(self, step: Step, platform: Platform) -> bool:
        """Tell whether a dependency of a package was not built for a platform."""
        for key, platforms in step.uses.get(platform, {}).items():
            result = self.results.get(key)
            if result is not None and platforms & {*result.failures, *result.skipped}:
                return True
        return False


def _push_references(job: PackageJob) -> list[Reference]:
    """Return the names to push: the index, or without it TAG-ARCH of each architecture."""
    if job.options.index:
        return image_references(job.name)
    return [
        Reference.parse(f"{name}-{platform.architecture}")
        for name in image_references(job.name)
        for platform in job.platforms
    ]


def _stored_result(store: Store, job: PackageJob) -> PackageResult:
    names = store.names()
    missing = [str(n) for n in image_references(job.name)[:1] if not names.named(str(n))]
    if missing:
        raise PackageError.of(
            codes.NOT_BUILT,
            f"{missing[0]} is not in the store",
            f"dolmen pkg build {job.package.directory}",
        )
    return PackageResult(str(job.name), present=job.platforms)
