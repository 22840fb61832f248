"""From YAML texts to a plan with every image in the store: config, resolve and plan in one go."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.build.helper_images import resolve_helper_images
from assembler.build.layouts import layouts
from assembler.build.local_packages import build_missing
from assembler.build.local_references import LocalReferences
from assembler.build.prepared import PreparedBuild
from assembler.config import LoadOptions, load_config_inputs, parse_label, render_metadata
from assembler.errors import DolmenError
from assembler.events import WarningEmitted
from assembler.oci import Platform, Reference, host_platform, resolve_images
from assembler.rootfs import (
    ImageRole,
    PlanOptions,
    ResolvedImages,
    find_required_images,
    make_plan,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from assembler.build.options import BuildOptions
    from assembler.config import Config, ConfigInput, LoadedConfig
    from assembler.diagnostics import Diagnostic, Place
    from assembler.encode import SalvageArchive
    from assembler.events import Reporter
    from assembler.formats import Format
    from assembler.git_sources import GitReferences
    from assembler.oci import Image, ImageSources


def read_config(
    inputs: Sequence[ConfigInput], packages: LocalReferences, *, allow_local_sources: bool
) -> LoadedConfig:
    """Check and merge the texts, with packages and references understood."""
    options = LoadOptions(
        packages=packages,
        check_reference=Reference.parse,
        allow_local_sources=allow_local_sources,
    )
    return load_config_inputs(inputs, options)


def local_references(
    sources: ImageSources, reporter: Reporter, *, write_locks: bool = True
) -> LocalReferences:
    """Return the references of packages; repositories are fetched when they are needed."""

    def git_references() -> GitReferences:
        from assembler.git_sources import GitReferences  # noqa: PLC0415 - few files need it

        return GitReferences(sources, reporter, write_locks=write_locks)

    return LocalReferences(git_references)


def prepare(
    inputs: Sequence[ConfigInput],
    options: BuildOptions,
    formats: Sequence[Format],
    reporter: Reporter,
) -> PreparedBuild:
    """Return the plan of the system; every image that it needs is in the store then."""
    packages = local_references(options.sources, reporter)
    loaded = read_config(inputs, packages, allow_local_sources=options.allow_local_sources)
    config = loaded.config
    warnings = _Warnings(reporter)
    warnings.emit_all(loaded.warnings)
    platform = Platform.parse(options.architecture or host_platform().architecture)
    needs = find_required_images(config)
    wanted: dict[Reference, Place | None] = {}
    for need in needs:
        if need.role is not ImageRole.LAYOUT:
            wanted.setdefault(need.reference, need.place)
    local = packages.directories()
    build_missing(options, local, platform, reporter)
    sources = replace(options.sources, local=options.sources.local | frozenset(local))
    store = sources.open_store()
    earlier = _earlier(options)
    images = _images(wanted, platform, sources, earlier, reporter)
    helpers = resolve_helper_images(formats, options, sources, platform, reporter)
    resolved = ResolvedImages(images, store.read, layouts(needs, sources, reporter))
    metadata = partial(render_metadata, config, full_name=lambda n: str(Reference.parse(n)))
    plan = make_plan(
        config,
        resolved,
        PlanOptions(
            architecture=platform.architecture,
            decompress_kernel=options.decompress_kernel
            and not (earlier and earlier.has_decompressed_kernel(images.values())),
            home=Path.home(),
            metadata=lambda form: metadata(form=form).encode(),
            read_label=partial(parse_label, names=_container_names(config), warn=warnings.emit),
        ),
    )
    warnings.emit_all(plan.warnings)
    if earlier is not None:
        from assembler.build.salvage import check  # noqa: PLC0415 - only for --input-tar

        check(plan, earlier, decompress=options.decompress_kernel)
    sbom = None
    if options.sbom is not None:
        from assembler.build.spdx import with_sbom  # noqa: PLC0415 - not every build wants it

        plan, sbom = with_sbom(plan, options.sbom, store, earlier, warnings.emit)
    containers = (*config.onboot, *config.onshutdown, *config.services)
    candidates = [f.source_candidates for f in config.files]
    candidates += [c.seccomp_candidates for c in containers]
    local_files = dict.fromkeys(path for paths in candidates for path in paths)
    named = [need.reference for need in needs]
    named += [image.reference for image in helpers.images.values()]
    return PreparedBuild(
        plan,
        images,
        tuple(dict.fromkeys(named)),
        (*local_files, *([earlier.path] if earlier else [])),
        helpers,
        earlier,
        sbom,
    )


def _earlier(options: BuildOptions) -> SalvageArchive | None:
    if options.input_tar is None:
        return None
    from assembler.encode import SalvageArchive  # noqa: PLC0415 - only for --input-tar

    return SalvageArchive.open(options.input_tar)


def _images(
    wanted: Mapping[Reference, Place | None],
    platform: Platform,
    sources: ImageSources,
    earlier: SalvageArchive | None,
    reporter: Reporter,
) -> dict[Reference, Image]:
    try:
        return resolve_images(wanted, platform, sources, reporter)
    except DolmenError as error:
        if earlier is None:
            raise
        from assembler.build.salvage import salvage_images  # noqa: PLC0415 - only for --input-tar

        return salvage_images(error, wanted, platform, sources.open_store(), earlier, reporter)


class _Warnings:
    """Emits each warning once: several containers may share an image and its label."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._seen: set[Diagnostic] = set()

    def emit(self, warning: Diagnostic) -> None:
        if warning not in self._seen:
            self._seen.add(warning)
            self._reporter.emit(WarningEmitted(warning))

    def emit_all(self, warnings: Iterable[Diagnostic]) -> None:
        for warning in warnings:
            self.emit(warning)


def _container_names(config: Config) -> frozenset[str]:
    return frozenset(c.name for c in (*config.onboot, *config.onshutdown, *config.services))
