"""The storage of builders on this machine: its size, and clearing it.

buildah keeps base images and RUN caches below the store; each builder of `docker buildx` keeps its
own in Docker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import tools
from assembler.dockerfile import (
    BuildKitOptions,
    Buildx,
    builder_storage_items,
    find_buildx,
    prune_builder_storage,
)
from assembler.events import NullReporter
from assembler.golang import prune_toolchains, toolchains_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assembler.events import Reporter
    from assembler.oci import Platform, Store


@dataclass(frozen=True, slots=True)
class StorageUse:
    """The size of one storage."""

    # The kind of files below the store, or the name of a builder of `docker buildx`.
    name: str
    # In bytes; a text if it comes from `docker buildx`.
    size: int | str
    in_docker: bool = False


def builder_storage_use(
    store: Store,
    builder_name: str = "",
    *,
    contexts: Mapping[str, str] | None = None,
    platforms: Sequence[Platform] = (),
) -> Iterator[StorageUse]:
    """Yield what builders and their logs occupy.

    Of the builders of `docker buildx`, only those of the platforms, if any are given; `contexts`
    has the Docker contexts of platforms.
    """
    root = store.root.absolute()
    for item in builder_storage_items(root / "buildah", root / "logs"):
        yield StorageUse(item.name, item.size)
    size = toolchains_size(store)
    if size:
        yield StorageUse("toolchains", size)
    buildx = _find_buildx(builder_name, contexts or {})
    if buildx is not None:
        for name in buildx.builder_names(platforms):
            yield StorageUse(name, buildx.storage_size(name), in_docker=True)


def prune_builders(
    store: Store,
    builder_name: str = "",
    reporter: Reporter | None = None,
    *,
    contexts: Mapping[str, str] | None = None,
    platforms: Sequence[Platform] = (),
) -> Iterator[StorageUse]:
    """Clear the storage of builders, and their logs; yield what each has freed.

    The builders are chosen as in `builder_storage_use`.
    """
    root = store.root.absolute()
    freed = prune_builder_storage(root / "buildah", root / "logs", reporter or NullReporter())
    freed += prune_toolchains(store)
    yield StorageUse("", freed)
    buildx = _find_buildx(builder_name, contexts or {})
    if buildx is not None:
        for name in buildx.builder_names(platforms):
            yield StorageUse(name, buildx.prune(name), in_docker=True)


def _find_buildx(builder_name: str, contexts: Mapping[str, str]) -> Buildx | None:
    docker = tools.find_program("docker")
    if docker is None:
        return None
    program, options = find_buildx(docker, BuildKitOptions(contexts, builder_name))
    return Buildx(program, options, NullReporter()) if program is not None else None
