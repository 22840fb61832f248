"""From YAML texts to a plan with every image in the store: config, resolve, plan in one go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.build.helper_images import BOOTLOADERS, IMAGETOOLS, shipped_image
from assembler.build.layouts import layouts
from assembler.build.packaging import build_missing
from assembler.config import Options, load_inputs, parse_label, render_metadata
from assembler.errors import DolmenError
from assembler.events import Warned
from assembler.oci.fetching import Fetcher
from assembler.oci.platform import Platform, host_platform
from assembler.oci.reference import Reference
from assembler.oci.resolve import Sources, resolve
from assembler.oci.store import Store
from assembler.rootfs import PlanOptions, Resolved, Role, make_plan, references
from assembler.rootfs.plan import ImageTree, MemberTree, Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from assembler.build.request import Request, Supply
    from assembler.config import Input, Loaded
    from assembler.config.model import Config
    from assembler.diagnostics import Diagnostic, Place
    from assembler.encode.earlier import Earlier
    from assembler.events import Reporter
    from assembler.oci.image import Image
    from assembler.packages.resolver import LocalPackages


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan, and the images it stands on."""

    plan: Plan
    images: Mapping[Reference, Image]
    # Of all images, those that are data included.
    references: tuple[Reference, ...]
    # What `source:` names, whether it is there or may be missing.
    local_files: tuple[Path, ...]
    # What machines boot by, if any output needs it.
    bootloaders: Image | None = None
    # What makes filesystems, if any output needs it and this machine lacks it.
    imagetools: Image | None = None
    # The firmware of a machine, if any output needs it.
    firmware: Image | None = None
    # Where images come from that cannot be had.
    earlier: Earlier | None = None
    # What a tar records of the SPDX document.
    sbom: Mapping[str, Any] | None = None

    def report(self) -> list[dict[str, str | None]]:
        """Return what the system is made of, in order, for scripts."""
        return [
            {
                "source": part.origin.source,
                "location": part.origin.location,
                "prefix": part.prefix if isinstance(part, ImageTree) else None,
                "digest": part.image.digest if isinstance(part, ImageTree | MemberTree) else None,
            }
            for part in self.plan.parts
        ]


def read_config(inputs: Sequence[Input], packages: _Packages | None = None) -> Loaded:
    """Check and merge the texts, with packages and references understood."""
    options = Options(packages=packages or _Packages(), check_reference=Reference.parse)
    return load_inputs(inputs, options)


class _Packages:
    """Local packages; their stage is imported for the first: few files name any."""

    _known: LocalPackages | None = None

    def reference(self, directory: Path) -> str:
        if self._known is None:
            from assembler.packages.resolver import LocalPackages  # noqa: PLC0415

            self._known = LocalPackages()
        return self._known.reference(directory)

    def directories(self) -> dict[Reference, Path]:
        """Return the directories of the packages that were named, by their images."""
        known = self._known.directories if self._known is not None else {}
        return {Reference.parse(name): directory for name, directory in known.items()}


def prepare(request: Request, inputs: Sequence[Input], reporter: Reporter) -> Prepared:
    """Return the plan of what the texts ask for; every image it needs is in the store then."""
    packages = _Packages()
    loaded = read_config(inputs, packages)
    config = loaded.config
    warnings = _Warnings(reporter)
    warnings.tell_all(loaded.warnings)
    store = Store(request.supply.store)
    platform = Platform.parse(request.architecture)
    needs = references(config)
    wanted: dict[Reference, Place | None] = {}
    for need in needs:
        if need.role is not Role.LAYOUT:
            wanted.setdefault(need.reference, need.place)
    local = packages.directories()
    build_missing(request.supply, store, local, platform, reporter)
    origins = replace(sources(request.supply, store), local=frozenset(local))
    earlier = _earlier(request.supply)
    images = _images(wanted, platform, origins, earlier, reporter)
    loaders = None
    if request.needs_bootloaders:
        loaders = shipped_image(
            BOOTLOADERS, request.bootloaders, request.supply, origins, platform, reporter
        )
    programs = None
    if request.needs_imagetools:
        programs = shipped_image(
            IMAGETOOLS, request.imagetools, request.supply, origins, host_platform(), reporter
        )
    firmware = None
    if request.firmware:
        named = Reference.parse(request.firmware)
        firmware = resolve({named: None}, platform, origins, reporter)[named]
    resolved = Resolved(
        images, store.read, layouts(needs, origins, request.supply.registries, reporter)
    )
    metadata = partial(render_metadata, config, full_name=lambda n: str(Reference.parse(n)))
    plan = make_plan(
        config,
        resolved,
        PlanOptions(
            architecture=platform.architecture,
            decompress_kernel=request.decompress_kernel
            and not (earlier and earlier.is_plain(images.values())),
            home=Path.home(),
            metadata=lambda form: metadata(form=form).encode(),
            read_label=partial(parse_label, names=_container_names(config), warn=warnings.tell),
        ),
    )
    warnings.tell_all(plan.warnings)
    if earlier is not None:
        from assembler.build.earlier import check  # noqa: PLC0415 - only for --input-tar

        check(plan, earlier, decompress=request.decompress_kernel)
    sbom = None
    if request.sbom is not None:
        from assembler.build.spdx import with_sbom  # noqa: PLC0415 - not every build wants it

        plan, sbom = with_sbom(plan, request.sbom, store, earlier, warnings.tell)
    local_files = [Path(f.source).expanduser() for f in config.files if f.source]
    return Prepared(
        plan,
        images,
        tuple(
            dict.fromkeys(
                [
                    *(need.reference for need in needs),
                    *(
                        image.reference
                        for image in (loaders, programs, firmware)
                        if image is not None
                    ),
                ]
            )
        ),
        (*local_files, *([earlier.path] if earlier else [])),
        loaders,
        programs,
        firmware,
        earlier,
        sbom,
    )


def _earlier(supply: Supply) -> Earlier | None:
    if supply.input_tar is None:
        return None
    from assembler.encode.earlier import Earlier  # noqa: PLC0415 - only for --input-tar

    return Earlier.open(supply.input_tar)


def _images(
    wanted: Mapping[Reference, Place | None],
    platform: Platform,
    origins: Sources,
    earlier: Earlier | None,
    reporter: Reporter,
) -> dict[Reference, Image]:
    try:
        return resolve(wanted, platform, origins, reporter)
    except DolmenError as error:
        if earlier is None:
            raise
        from assembler.build.earlier import instead  # noqa: PLC0415 - only for --input-tar

        return instead(error, wanted, platform, origins.store, earlier, reporter)


def sources(supply: Supply, store: Store) -> Sources:
    """Return where images may come from."""
    fetch = daemon = None
    if supply.registries is not None and not supply.offline:
        fetch = Fetcher(supply.registries)
    if supply.docker and not supply.offline:
        from assembler.oci.daemon import bring  # noqa: PLC0415 - docker is slow to import

        daemon = bring
    return Sources(store, fetch, supply.offline, supply.pull, daemon)


class _Warnings:
    """Tells each warning once: several containers may have one image, and its label."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._told: set[Diagnostic] = set()

    def tell(self, warning: Diagnostic) -> None:
        if warning not in self._told:
            self._told.add(warning)
            self._reporter.emit(Warned(warning))

    def tell_all(self, warnings: Iterable[Diagnostic]) -> None:
        for warning in warnings:
            self.tell(warning)


def _container_names(config: Config) -> frozenset[str]:
    return frozenset(c.name for c in (*config.onboot, *config.onshutdown, *config.services))
