"""Containers: a bundle for each, with the image's tree laid out where it is first used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.config.model import ContainerSpec
from assembler.errors import DolmenError, PlanError
from assembler.oci import Reference, media_types
from assembler.rootfs.merging import Merged, merged
from assembler.rootfs.needs import SECTIONS
from assembler.rootfs.plan import Entry, ImageTree, Kind, Made, Origin, Part, Rules
from assembler.rootfs.rendering import rendered
from assembler.rootfs.runtime import SCRATCH, root_mounts, runtime_json
from assembler.rootfs.spec import config_json
from assembler.rootfs.volumes import leading_directories

if TYPE_CHECKING:
    from assembler.config.model import Config, Container, Runtime
    from assembler.oci import Image
    from assembler.rootfs.diagnostic_collector import DiagnosticCollector
    from assembler.rootfs.ids import Ids
    from assembler.rootfs.options import PlanOptions, Resolved
    from assembler.rootfs.volumes import Volumes

ROOT = "containers"


def container_parts(
    config: Config,
    resolved: Resolved,
    options: PlanOptions,
    ids: Ids,
    volumes: Volumes,
    findings: DiagnosticCollector,
) -> Iterator[Part]:
    """Yield the parts of onboot, onshutdown and services, in this order."""
    # Where the tree of an image is, by its full name.
    trees: dict[Reference, str] = {}
    for section in SECTIONS:
        for number, container in enumerate(getattr(config, section)):
            with findings.caught(container.positions.place_of("image")):
                name = _checked_name(container)
                directory = name if section == "services" else f"{number:03}-{name}"
                bundle = f"{ROOT}/{section}/{directory}"
                image = resolved.images[Reference.parse(container.image)]
                wanted = merged(container, image, _label(container, image, options))
                origin = Origin(
                    str(image.reference),
                    f"{section}[{number}]",
                    container.positions.place_of("image"),
                )
                spec = config_json(wanted, ids, volumes, findings)
                yield from _bundle(wanted, rendered(spec), bundle, origin, trees)


def _checked_name(container: Container) -> str:
    name = container.name
    place = container.positions.place_of("name")
    if name in ("", ".", ".."):
        message = f"{name!r} cannot be the name of a container" if name else "the name is empty"
        raise PlanError.of(rootfs.BAD_NAME, message, place=place)
    if "/" in name or any(ord(c) < 32 or ord(c) == 127 for c in name):
        what = "a slash" if "/" in name else "a control character"
        message = f"the name {name!r} of a container has {what} in it"
        raise PlanError.of(
            rootfs.BAD_NAME, message, "it becomes the name of a directory", place=place
        )
    return name


def _label(container: Container, image: Image, options: PlanOptions) -> ContainerSpec:
    text = image.config.labels.get(media_types.CONFIG_LABEL, "")
    if not text.strip():
        return ContainerSpec()
    try:
        return options.read_label(text, str(image.reference)) or ContainerSpec()
    except DolmenError as error:
        empty = Merged(container, image, ContainerSpec(), {}, {})
        raise PlanError([empty.explained(d) for d in error.diagnostics]) from error


def _bundle(
    wanted: Merged, spec: bytes, bundle: str, origin: Origin, trees: dict[Reference, str]
) -> Iterator[Part]:
    """Yield a bundle: its directories, perhaps the image's tree, and its two documents."""
    readonly = bool(wanted.spec.readonly)
    reference = wanted.image.reference
    tree = trees.get(reference)
    if tree is None:
        tree = trees[reference] = f"{bundle}/{'rootfs' if readonly else 'lower'}"
        yield Made(origin, leading_directories(tree))
        yield ImageTree(origin, wanted.image, f"{tree}/", Rules.CONTAINER)
    else:
        yield Made(origin, leading_directories(bundle))
    runtime: Runtime | None = wanted.spec.runtime
    assert runtime is not None  # noqa: S101 - merging makes one
    mounts = root_mounts(bundle, tree, readonly=readonly)
    own = f"{bundle}/rootfs"
    directories = [] if readonly and tree == own else [own]
    if not readonly:
        directories.insert(0, f"{bundle}/{SCRATCH}")
    yield Made(
        origin,
        (
            _file(f"{bundle}/config.json", spec),
            *(Entry(path, Kind.DIRECTORY, 0o755) for path in directories),
            _file(f"{bundle}/runtime.json", rendered(runtime_json(runtime, mounts))),
        ),
    )


def _file(path: str, content: bytes) -> Entry:
    return Entry(path, Kind.FILE, 0o644, content)
