"""Building a package for its platforms: only images that are missing or out of date are built."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assembler.catalog import catalog_name
from assembler.debian import RecipeBuild, build_recipe, open_archive_engine, read_package_lock
from assembler.dockerfile import Builders, build_image, open_workspace, read_package_context
from assembler.errors import DolmenError, wrap_os_errors
from assembler.events import LogMessage, task
from assembler.golang import GoBuild, compile_programs
from assembler.linux import KernelBuild, compile_kernel
from assembler.oci import hold_lock, tag_images
from assembler.packages.build_arguments import read_commit, toolchain_reference
from assembler.packages.checked_out import refuse_kernel, refuse_programs
from assembler.packages.inputs import changes_since_build, current_inputs
from assembler.packages.jobs import image_labels, image_references, plan_job
from assembler.packages.recipe_places import with_recipe_places
from assembler.packages.tags import is_lasting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from assembler.config import Package
    from assembler.debian import ArchiveEngine
    from assembler.events import Reporter
    from assembler.oci import ImageSources, Platform, Reference, Store, WrittenImage
    from assembler.packages.jobs import PackageJob
    from assembler.packages.options import PackageBuildOptions
    from assembler.packages.remote import Remote

# The result of changes_since_build for an image that is up to date.
_NO_CHANGES: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What all builds of a call share: the archive engine, the builders, the image sources."""

    engine: ArchiveEngine
    # The sources of base images.
    sources: ImageSources
    builders: Builders

    @classmethod
    def open(cls, options: PackageBuildOptions, reporter: Reporter) -> BuildContext:
        """Return the context that the options describe."""
        store = options.sources.open_store()
        builders = Builders(store.root.absolute() / "buildah", reporter, options.builder)
        engine = open_archive_engine(
            store, options.debian, reporter, offline=options.sources.offline
        )
        return cls(engine, options.sources, builders)

    def with_local_images(self, references: Iterable[Reference]) -> BuildContext:
        """Return the context of a build in which no registry is re-checked for these images."""
        local = self.sources.local | frozenset(references)
        return replace(self, sources=replace(self.sources, local=local))

    @property
    def remote(self) -> Remote | None:
        """Return the registries of packages; None if they must not be contacted."""
        if self.sources.offline:
            return None
        from assembler.packages.remote import Remote  # noqa: PLC0415 - requests is slow to load

        return Remote(self.sources.registry_options())

    def reporting_to(self, reporter: Reporter) -> BuildContext:
        """Return the same context with builders that report to another reporter."""
        return replace(self, builders=replace(self.builders, reporter=reporter))


@dataclass(frozen=True, slots=True)
class PackageResult:
    """The image of a package: its name, and the outcome for each platform."""

    name: str
    built: tuple[Platform, ...] = ()
    # Up to date in the store.
    present: tuple[Platform, ...] = ()
    # Not built, because the registry has them.
    remote: tuple[Platform, ...] = ()
    failures: Mapping[Platform, DolmenError] = field(default_factory=dict)
    # Not built, because a dependency is missing.
    skipped: tuple[Platform, ...] = ()

    @property
    def complete(self) -> bool:
        """Tell whether no platform failed or was skipped."""
        return not (self.failures or self.skipped)

    def as_json(self) -> dict[str, Any]:
        """Return the result for scripts."""
        return {
            "name": self.name,
            "built": [str(p) for p in self.built],
            "present": [str(p) for p in self.present],
            "remote": [str(p) for p in self.remote],
            "failed": [str(p) for p in self.failures],
            "skipped": [str(p) for p in self.skipped],
        }


def build_package(
    store: Store, job: PackageJob, context: BuildContext, reporter: Reporter
) -> PackageResult:
    """Build the missing images of a package; raise the first failure."""
    result = build_platforms(store, job, context, reporter)
    for error in result.failures.values():
        raise error
    return result


def build_platforms(
    store: Store, job: PackageJob, context: BuildContext, reporter: Reporter
) -> PackageResult:
    """Build the missing images of a package; a platform that fails does not stop the others.

    Two builds of one package exclude each other: the second waits for the first.
    """
    job = plan_job(job)
    with store.in_use(), _package_lock(store, job.name.reference()):
        changes_by_platform = {p: changes_since_build(store, job, p) for p in job.platforms}
        present = tuple(p for p, c in changes_by_platform.items() if c == _NO_CHANGES)
        missing = {p: c for p, c in changes_by_platform.items() if c != _NO_CHANGES}
        if not missing:
            reporter.emit(LogMessage(f"{job.name} is up to date, nothing to build"))
            return PackageResult(str(job.name), present=present)
        remote = _registry_platforms(store, job, missing, context, reporter)
        missing = {p: c for p, c in missing.items() if p not in remote}
        if not missing:
            return PackageResult(str(job.name), present=present, remote=remote)
        for platform, changes in missing.items():
            if changes:
                inputs = ", ".join(changes)
                reporter.emit(LogMessage(f"rebuilding {job.name} for {platform}: {inputs} changed"))
        built: dict[Platform, WrittenImage] = {}
        failures: dict[Platform, DolmenError] = {}
        for platform in missing:
            try:
                with task(reporter, f"build {job.name} for {platform}") as progress:
                    built[platform] = _build_image(store, job, platform, context, reporter)
                    progress.outcome = "built"
            except DolmenError as error:
                failures[platform] = with_recipe_places(error, job.package.build)
        if built:
            tag_images(store, [str(n) for n in image_references(job.name)], [*built.values()])
    return PackageResult(str(job.name), tuple(built), present, remote, failures)


def _registry_platforms(
    store: Store,
    job: PackageJob,
    missing: Mapping[Platform, tuple[str, ...] | None],
    context: BuildContext,
    reporter: Reporter,
) -> tuple[Platform, ...]:
    """Return the platforms that a registry has; fetch them if the options say so.

    Only names with a hash are looked up. If the image in the store is out of date, the registry's
    image counts only if it is fetched and up to date.
    """
    candidates = [p for p, changes in missing.items() if job.options.fetches or not changes]
    if job.options.force or not is_lasting(job.name) or job.name.dirty or not candidates:
        return ()
    remote = context.remote
    if remote is None or _is_ours(job):
        return ()
    reference = job.name.reference()
    offered = remote.platforms(reference, reporter)
    available = tuple(p for p in candidates if any(o.satisfies(p) for o in offered))
    if not available:
        return ()
    if job.options.fetches:
        remote.fetch(store, reference, available, reporter)
        return tuple(
            p
            for p in available
            if not missing[p] or changes_since_build(store, job, p) == _NO_CHANGES
        )
    platforms = ", ".join(map(str, available))
    message = f"{job.name} is at {reference.registry} for {platforms}, not built (use --pull)"
    reporter.emit(LogMessage(message))
    return available


def _is_ours(job: PackageJob) -> bool:
    """Tell whether it is a package of the catalogue under its own name.

    The hash in the name is that of sources, and nothing proves yet who has built the image that a
    public registry has under this name.
    """
    return job.options.naming.org is None and catalog_name(job.package.directory) is not None


def _build_image(
    store: Store, job: PackageJob, platform: Platform, context: BuildContext, reporter: Reporter
) -> WrittenImage:
    package = job.package
    if package.build.debs is None:
        build = job.dockerfile_build(platform)
        return build_image(store, build, context.sources, context.builders, reporter)
    with open_workspace(store) as workspace:
        recipe = RecipeBuild(
            package.build.debs,
            package.directory,
            platform,
            str(job.name.reference()),
            image_labels(package),
            read_package_lock(package.directory),
        )
        if package.build.go is not None:
            recipe = _with_programs(store, job, recipe, workspace, (context, reporter))
        if package.build.linux is not None:
            recipe = _with_kernel(store, job, recipe, workspace, (context, reporter))
        # With a toolchain that was fetched just now.
        recipe = replace(recipe, inputs=current_inputs(store, job, platform))
        return build_recipe(store, recipe, context.engine, reporter)


def _with_programs(
    store: Store,
    job: PackageJob,
    recipe: RecipeBuild,
    workspace: Path,
    shared: tuple[BuildContext, Reporter],
) -> RecipeBuild:
    """Return the recipe with the compiled Go programs of the package."""
    package, go = job.package, job.package.build.go
    if go is None:
        return recipe
    refuse_programs(package)
    context, reporter = shared
    time = read_commit(package, job.name, job.options.naming.commit).time
    module = _copy_package(package, time, workspace / "module")
    build = GoBuild(
        go,
        module,
        package.directory,
        toolchain_reference(package, go, job.options.naming),
        recipe.platform,
        network=package.build.network and not context.sources.offline,
    )
    programs = compile_programs(store, build, context.sources, reporter, workspace)
    return replace(recipe, programs=programs, programs_timestamp=time)


def _copy_package(package: Package, time: int, directory: Path) -> Path:
    """Make a directory with exactly the files that the package's hash covers."""
    with wrap_os_errors(directory):
        directory.mkdir()
    read_package_context(package, time, package.build.dockerfile).write(directory)
    return directory


def _with_kernel(
    store: Store,
    job: PackageJob,
    recipe: RecipeBuild,
    workspace: Path,
    shared: tuple[BuildContext, Reporter],
) -> RecipeBuild:
    """Return the recipe that compiles the kernel of the package."""
    package, linux = job.package, job.package.build.linux
    if linux is None:
        return recipe
    refuse_kernel(package)
    context, reporter = shared
    fragments = _copy_package(package, 0, workspace / "fragments")
    toolchain = toolchain_reference(package, linux, job.options.naming)

    def compile_source(source: Path, timestamp: int) -> Path:
        build = KernelBuild(
            linux, fragments, toolchain, recipe.platform, source, timestamp, workspace
        )
        return compile_kernel(store, build, context.sources, reporter)

    return replace(recipe, compile_kernel=compile_source, kernel_headers=linux.headers)


def _package_lock(store: Store, reference: Reference) -> AbstractContextManager[None]:
    store.layout.prepare()
    digest = hashlib.sha256(str(reference).encode()).hexdigest()[:32]
    return hold_lock(store.layout.locks / f"package-{digest}")
