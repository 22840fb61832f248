"""Several packages at once: those that others need come first, and what is made is pushed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.codes import packages as codes
from assembler.errors import DolmenError, PackageError
from assembler.events import LogMessage
from assembler.oci.reference import Reference
from assembler.packages.arguments import GivenArguments
from assembler.packages.building import (
    Built,
    GivenTerms,
    Job,
    attempt,
    names_of,
    platforms_of,
)
from assembler.packages.loading import load
from assembler.packages.logs import PackageLog, log_file
from assembler.packages.ordering import with_needed
from assembler.packages.problems import told_problems
from assembler.packages.steps import Step, planned
from assembler.packages.tags import Naming, is_lasting, name_of
from assembler.packages.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from assembler.config.package_model import Package
    from assembler.diagnostics import Diagnostic
    from assembler.events import Reporter
    from assembler.oci.platform import Platform
    from assembler.oci.store import Store
    from assembler.packages.building import Means
    from assembler.packages.tags import PackageName
    from assembler.packages.threads import Cancellation

# More than this do not get done sooner: a builder uses several processors itself.
_MOST_AT_ONCE = 4


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
    # Push the index as well, and not the images of the architectures alone.
    index: bool = True
    # Push what is there, and build nothing.
    no_build: bool = False
    dockerfile: str | None = None
    terms: GivenTerms = field(default_factory=GivenTerms)


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of packages: those asked for, and those they need."""

    asked: tuple[Built, ...]
    # What went wrong, each mistake once, and in the end what is missing because of it.
    problems: tuple[Diagnostic, ...] = ()

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self.problems:
            raise PackageError(self.problems)


def build_all(
    store: Store, asked: Sequence[Package], wish: Wish, means: Means, reporter: Reporter
) -> Batch:
    """Build packages with the local ones they need, side by side where they do not need another.

    What goes wrong with one does not keep those from being built that do not need it.
    """
    jobs = {package.directory: job_of(package, wish) for package in asked}
    if wish.no_build:
        steps = tuple(Step(job) for job in jobs.values())
        done = {step.key: _there(store, step.job) for step in steps}
        problems: tuple[Diagnostic, ...] = ()
    else:
        ordered = with_needed(asked, wish.arguments, wish.dockerfile)
        steps = planned(ordered, jobs, Naming(org=wish.naming.org), wish.terms.builder)
        crew = _Crew(store, means, reporter, {step.key: step for step in steps})
        done = crew.build()
        problems = told_problems(crew.steps, done, crew.log)
    whole = [job for job in jobs.values() if not _lacks(done.get(job.package.directory.resolve()))]
    if wish.load:
        load(store, [job.name.reference() for job in whole], reporter)
    if wish.push and (remote := means.remote) is not None:
        for job in whole:
            override = wish.force or not is_lasting(job.name)
            remote.push(store, _pushed(job, wish), reporter, override=override)
    built = (done.get(package.directory.resolve()) for package in asked)
    return Batch(tuple(b for b in built if b is not None), problems)


@dataclass(slots=True)
class _Crew:
    """A batch being built."""

    store: Store
    means: Means
    reporter: Reporter
    steps: Mapping[Path, Step]
    done: dict[Path, Built] = field(default_factory=dict)

    def build(self) -> dict[Path, Built]:
        """Build everything, as far as it can be."""
        needs = {key: step.needs & self.steps.keys() for key, step in self.steps.items()}
        in_order(needs, self._build, min(_MOST_AT_ONCE, os.cpu_count() or 1))
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
            self.done[key] = Built(str(step.job.name), left=left)
            return
        prefix = f"{step.job.package.build.image}: " if len(self.steps) > 1 else ""
        log = PackageLog(self.log(step), self.reporter, halt, prefix)
        last = "== interrupted"
        try:
            job = replace(step.job, platforms=can)
            built = attempt(self.store, job, self.means.telling(log), log)
            last = "\n".join(str(error) for error in built.failures.values())
            self.done[key] = replace(built, left=left)
        except DolmenError as error:
            # Of all platforms, as a registry that was to give the image.
            last = str(error)
            failures = dict.fromkeys(can, error)
            self.done[key] = Built(str(step.job.name), failures=failures, left=left)
        finally:
            log.end(last)

    def _missing(self, step: Step, platform: Platform) -> bool:
        """Tell whether something is missing that a package needs for a platform."""
        for key, platforms in step.uses.get(platform, {}).items():
            built = self.done.get(key)
            if built is not None and platforms & {*built.failures, *built.left}:
                return True
        return False


def _lacks(built: Built | None) -> bool:
    return built is None or bool(built.failures or built.left)


def _pushed(job: Job, wish: Wish) -> list[Reference]:
    """Return the names that are pushed: without an index, those of the architectures alone."""
    if wish.index:
        return names_of(job.name)
    return [
        Reference.parse(f"{name}-{platform.architecture}")
        for name in names_of(job.name)
        for platform in job.platforms
    ]


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
