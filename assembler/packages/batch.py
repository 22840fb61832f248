"""Several packages at once: those that others need come first, and what is made is pushed."""

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
from assembler.packages.build_file_reader import read_package
from assembler.packages.build_steps import Step, plan_steps
from assembler.packages.dependencies import in_build_order
from assembler.packages.dependency_pool import run_in_order
from assembler.packages.docker_load import load
from assembler.packages.logs import PackageLog, log_file
from assembler.packages.options import PackageBuildOptions
from assembler.packages.package_build import (
    BuildContext,
    PackageJob,
    PackageResult,
    build_platforms,
    names_of,
    platforms_of,
)
from assembler.packages.tags import is_lasting, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from assembler.config.package_model import Package
    from assembler.diagnostics import Diagnostic
    from assembler.events import Event, Reporter
    from assembler.oci import Platform, Store
    from assembler.packages.dependency_pool import Cancellation
    from assembler.packages.tags import PackageName

# More than this do not get done sooner: a builder uses several processors itself.
_MOST_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class PackageBuildResult:
    """The packages that were asked for, and what went wrong with them and those they need."""

    packages: tuple[PackageResult, ...]
    # Each mistake once, and in the end what is missing because of it.
    problems: tuple[Diagnostic, ...] = ()

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
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
    """Build the packages in directories, with the local ones they need.

    What goes wrong with a package is in the result; `check` raises it.
    """
    several = [directories] if isinstance(directories, str | Path) else directories
    chosen = options if options is not None else PackageBuildOptions()
    packages = [read_package(Path(d), chosen.build_file) for d in several]
    return build_packages(packages, chosen, CallbackReporter.of(progress))


def package_names(
    directories: Sequence[str | Path] | str | Path, options: PackageBuildOptions | None = None
) -> list[PackageName]:
    """Return the names of the images of packages; nothing is built."""
    several = [directories] if isinstance(directories, str | Path) else directories
    chosen = options if options is not None else PackageBuildOptions()
    return [package_name(read_package(Path(d), chosen.build_file), chosen) for d in several]


def build_packages(
    packages: Sequence[Package], options: PackageBuildOptions, reporter: Reporter
) -> PackageBuildResult:
    """Build packages with the local ones they need, side by side where they do not need another.

    A package that fails does not stop those that do not need it.
    """
    return build_in_context(packages, options, BuildContext.open(options, reporter), reporter)


def build_in_context(
    packages: Sequence[Package],
    options: PackageBuildOptions,
    context: BuildContext,
    reporter: Reporter,
) -> PackageBuildResult:
    """Build packages with an engine and builders that the caller has."""
    check_package_options(options)
    store = context.sources.open_store()
    jobs = {package.directory: job_of(package, options) for package in packages}
    if options.no_build:
        steps = tuple(Step(job) for job in jobs.values())
        done = {step.key: _stored(store, step.job) for step in steps}
        problems: tuple[Diagnostic, ...] = ()
    else:
        ordered = in_build_order(packages, options.arguments, options.dockerfile)
        steps = plan_steps(ordered, jobs, options.for_dependency())
        batch = _BatchBuild(store, context, reporter, {step.key: step for step in steps})
        done = batch.build()
        problems = batch_problems(batch.steps, done, batch.log)
    complete = [
        job
        for job in jobs.values()
        if not _is_incomplete(done.get(job.package.directory.resolve()))
    ]
    if options.load:
        load(store, [job.name.reference() for job in complete], reporter)
    if options.push and (remote := context.remote) is not None:
        for job in complete:
            override = options.force or not is_lasting(job.name)
            remote.push(store, _pushed(job), reporter, override=override)
    built = (done.get(package.directory.resolve()) for package in packages)
    return PackageBuildResult(tuple(b for b in built if b is not None), problems)


def check_package_options(options: PackageBuildOptions) -> None:
    """Refuse options that contradict each other."""
    problem = None
    if options.no_build and options.force:
        problem = ("--nobuild and --force contradict each other", "leave one out")
    elif options.no_build and not (options.push or options.load):
        problem = ("--nobuild leaves nothing to do", "it goes with --push or --docker")
    elif options.fetch and options.force:
        problem = ("--pull and --force contradict each other", "leave one out")
    elif options.sources.offline and (options.push or options.fetch):
        problem = ("--offline opens no socket; --push and --pull need one", "leave one out")
    if problem:
        raise UsageError.of(usage.BAD_OPTION, *problem)


@dataclass(slots=True)
class _BatchBuild:
    """A batch being built."""

    store: Store
    context: BuildContext
    reporter: Reporter
    steps: Mapping[Path, Step]
    done: dict[Path, PackageResult] = field(default_factory=dict)

    def build(self) -> dict[Path, PackageResult]:
        """Build everything, as far as it can be."""
        needs = {key: step.needs & self.steps.keys() for key, step in self.steps.items()}
        run_in_order(needs, self._build, min(_MOST_AT_ONCE, os.cpu_count() or 1))
        if any(built.made for built in self.done.values()):
            self.reporter.emit(LogMessage(f"what builders have printed is in {self._logs}"))
        return self.done

    def log(self, step: Step) -> Path:
        """Return where the log of a package is."""
        return log_file(self._logs, str(step.job.name))

    @property
    def _logs(self) -> Path:
        return self.store.root.absolute() / "logs"

    def _build(self, key: Path, halt: Cancellation) -> None:
        step = self.steps[key]
        can = tuple(p for p in step.job.platforms if not self._missing(step, p))
        left = tuple(p for p in step.job.platforms if p not in can)
        if not can:
            self.done[key] = PackageResult(str(step.job.name), left=left)
            return
        prefix = f"{step.job.package.build.image}: " if len(self.steps) > 1 else ""
        log = PackageLog(self.log(step), self.reporter, halt, prefix)
        last = "== interrupted"
        try:
            job = replace(step.job, platforms=can)
            built = build_platforms(self.store, job, self.context.reporting_to(log), log)
            last = "\n".join(str(error) for error in built.failures.values())
            self.done[key] = replace(built, left=left)
        except DolmenError as error:
            # Of all platforms, as a registry that was to give the image.
            last = str(error)
            failures = dict.fromkeys(can, error)
            self.done[key] = PackageResult(str(step.job.name), failures=failures, left=left)
        finally:
            log.end(last)

    def _missing(self, step: Step, platform: Platform) -> bool:
        """Tell whether something is missing that a package needs for a platform."""
        for key, platforms in step.uses.get(platform, {}).items():
            built = self.done.get(key)
            if built is not None and platforms & {*built.failures, *built.left}:
                return True
        return False


def _is_incomplete(built: PackageResult | None) -> bool:
    return built is None or bool(built.failures or built.left)


def _pushed(job: PackageJob) -> list[Reference]:
    """Return the names that are pushed: without an index, those of the architectures alone."""
    if job.options.index:
        return names_of(job.name)
    return [
        Reference.parse(f"{name}-{platform.architecture}")
        for name in names_of(job.name)
        for platform in job.platforms
    ]


def package_name(package: Package, options: PackageBuildOptions) -> PackageName:
    """Return the name of the package's image, as a release if the options say so."""
    name = name_of(package, options.naming)
    return name if options.release is None else name.released(options.release)


def job_of(package: Package, options: PackageBuildOptions) -> PackageJob:
    """Return what is to be built of a package."""
    platforms = platforms_of(package, options.platforms, options.skip_platforms)
    return PackageJob(package, package_name(package, options), platforms, options)


def _stored(store: Store, job: PackageJob) -> PackageResult:
    names = store.names()
    missing = [str(n) for n in names_of(job.name)[:1] if not names.named(str(n))]
    if missing:
        raise PackageError.of(
            codes.NOT_BUILT,
            f"{missing[0]} is not in the store",
            f"dolmen pkg build {job.package.directory}",
        )
    return PackageResult(str(job.name), present=job.platforms)
