"""Containers: a bundle each; the first container of an image holds the image's tree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.config import LABEL_EXTENSIONS, ContainerSpec
from assembler.errors import DolmenError, PlanError
from assembler.oci import CONFIG_LABEL, EXTENSIONS_LABEL, Reference
from assembler.rootfs.config_json import config_document
from assembler.rootfs.container_programs import PlannedContainer
from assembler.rootfs.container_settings import ContainerSettings, merge_settings
from assembler.rootfs.json_rendering import render_json
from assembler.rootfs.plan import (
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageTree,
    Origin,
    Part,
    TreeRules,
    leading_directories,
)
from assembler.rootfs.required_images import SECTIONS
from assembler.rootfs.runtime_json import SCRATCH, root_mounts, runtime_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config import Config, Container, Runtime
    from assembler.oci import Image
    from assembler.rootfs.diagnostic_collector import DiagnosticCollector
    from assembler.rootfs.ids import Ids
    from assembler.rootfs.plan_options import PlanOptions, ResolvedImages
    from assembler.rootfs.volumes import Volumes

ROOT = "containers"


def container_parts(
    config: Config,
    resolved: ResolvedImages,
    options: PlanOptions,
    names: tuple[Ids, Volumes],
    findings: DiagnosticCollector,
    planned: list[PlannedContainer],
) -> Iterator[Part]:
    """Yield the parts of onboot, onshutdown and services in this order, and collect them."""
    # The path of each image's tree, by reference.
    trees: dict[Reference, str] = {}
    for section in SECTIONS:
        for number, container in enumerate(getattr(config, section)):
            with findings.collect(container.positions.place_of("image")):
                name = _checked_name(container)
                directory = name if section == "services" else f"{number:03}-{name}"
                bundle = f"{ROOT}/{section}/{directory}"
                image = resolved.images[Reference.parse(container.image)]
                settings = merge_settings(container, image, _label(container, image, options))
                origin = Origin(
                    str(image.reference),
                    f"{section}[{number}]",
                    container.positions.place_of("image"),
                )
                spec = config_document(settings, *names, options.architecture, findings)
                yield from _bundle(settings, render_json(spec), bundle, origin, trees)
                planned.append(PlannedContainer(settings, spec, trees[image.reference]))


def _checked_name(container: Container) -> str:
    name = container.name
    place = container.positions.place_of("name")
    if name in ("", ".", ".."):
        message = f"{name!r} cannot be the name of a container" if name else "the name is empty"
        raise PlanError.of(rootfs.BAD_NAME, message, place=place)
    if "/" in name or any(ord(c) < 32 or ord(c) == 127 for c in name):
        what = "a slash" if "/" in name else "a control character"
        message = f"container name {name!r} contains {what}"
        raise PlanError.of(
            rootfs.BAD_NAME,
            message,
            f"remove {what}: the name is used for a directory, too",
            place=place,
        )
    return name


def _label(container: Container, image: Image, options: PlanOptions) -> ContainerSpec:
    try:
        plain = _read(CONFIG_LABEL, image, options)
        own = _read(EXTENSIONS_LABEL, image, options)
    except DolmenError as error:
        empty = ContainerSettings(container, image, ContainerSpec(), {}, {})
        raise PlanError([empty.with_image_remark(d) for d in error.diagnostics]) from error
    return _joined(plain, own)


def _read(label: str, image: Image, options: PlanOptions) -> ContainerSpec:
    text = image.config.labels.get(label, "")
    if not text.strip():
        return ContainerSpec()
    return options.read_label(text, str(image.reference), label=label) or ContainerSpec()


def _joined(plain: ContainerSpec, own: ContainerSpec) -> ContainerSpec:
    """Return the settings of both labels; those of Dolmen's own win."""
    values = {key: getattr(own, key) for key in LABEL_EXTENSIONS}
    return replace(plain, **{key: v for key, v in values.items() if v is not None})


def _bundle(
    settings: ContainerSettings,
    spec: bytes,
    bundle: str,
    origin: Origin,
    trees: dict[Reference, str],
) -> Iterator[Part]:
    """Yield a bundle: its directories, its two documents, and the image's tree if it is first."""
    readonly = bool(settings.spec.readonly)
    reference = settings.image.reference
    tree = trees.get(reference)
    if tree is None:
        tree = trees[reference] = f"{bundle}/{'rootfs' if readonly else 'lower'}"
        yield GeneratedPart(origin, leading_directories(tree))
        yield ImageTree(origin, settings.image, f"{tree}/", TreeRules.CONTAINER)
    else:
        yield GeneratedPart(origin, leading_directories(bundle))
    runtime: Runtime | None = settings.spec.runtime
    assert runtime is not None  # noqa: S101 - merge_settings sets it
    mounts = root_mounts(bundle, tree, readonly=readonly)
    own = f"{bundle}/rootfs"
    directories = [] if readonly and tree == own else [own]
    if not readonly:
        directories.insert(0, f"{bundle}/{SCRATCH}")
    yield GeneratedPart(
        origin,
        (
            _file(f"{bundle}/config.json", spec),
            *(GeneratedEntry(path, EntryKind.DIRECTORY, 0o755) for path in directories),
            _file(f"{bundle}/runtime.json", render_json(runtime_document(runtime, mounts))),
        ),
    )


def _file(path: str, content: bytes) -> GeneratedEntry:
    return GeneratedEntry(path, EntryKind.FILE, 0o644, content)
