"""Tar archives made for tests, the sink that collects a tree, and images of layers."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.oci import media_types
from assembler.oci.image import Image
from assembler.oci.layers import DIRECTORY, SYMLINK, LayerBlob, TarReader
from assembler.oci.manifest import Descriptor, Manifest, parse_image_config
from assembler.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from assembler.oci.store import Store

TIME = 1_600_000_000


@dataclass(frozen=True)
class E:
    """An entry of an archive."""

    name: str
    data: bytes = b""
    type: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = TIME
    pax: Mapping[str, str] = field(default_factory=dict)
    device: tuple[int, int] = (0, 0)


def directory(name: str, mode: int = 0o755, **more: Any) -> E:
    """Return a directory."""
    return E(name, type=tarfile.DIRTYPE, mode=mode, **more)


def symlink(name: str, target: str, **more: Any) -> E:
    """Return a symbolic link."""
    return E(name, type=tarfile.SYMTYPE, link=target, mode=0o777, **more)


def hardlink(name: str, target: str, **more: Any) -> E:
    """Return a hard link."""
    return E(name, type=tarfile.LNKTYPE, link=target, **more)


def tar(entries: Iterable[E], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return an archive, the same bytes every time."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.mode = entry.type, entry.link, entry.mode
            info.uid, info.gid, info.mtime = entry.uid, entry.gid, entry.mtime  # type: ignore[assignment]
            info.devmajor, info.devminor = entry.device
            info.pax_headers = dict(entry.pax)
            info.size = len(entry.data)
            archive.addfile(info, io.BytesIO(entry.data))
    return out.getvalue()


def layer(content: bytes | Iterable[E], *, plain: bool = False) -> LayerBlob:
    """Return a layer of an archive or of entries."""
    data = content if isinstance(content, bytes) else tar(content)
    if not plain and not isinstance(content, bytes):
        data = gzip.compress(data, 1, mtime=0)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return LayerBlob(digest, len(data), lambda: io.BytesIO(data))


@dataclass(eq=False)
class Node:
    """A file, directory, link or device; hard links share one."""

    kind: int
    content: bytes = b""
    link: bytes = b""
    mode: int = 0


@dataclass
class Collected:
    """A sink that does what unpacking would do."""

    tree: dict[bytes, Node] = field(default_factory=dict)
    order: list[bytes] = field(default_factory=list)
    restarts: int = 0

    def restart(self) -> None:
        """Begin again."""
        self.tree.clear()
        self.order.clear()
        self.restarts += 1

    def add(self, name: bytes, reader: TarReader) -> None:
        """Take an entry."""
        parts: list[bytes] = []
        reader.write_to(lambda piece: parts.append(bytes(piece)))
        self.order.append(name)
        self.tree[name] = Node(reader.kind, b"".join(parts), _link(reader), reader.mode)

    def link(self, name: bytes, target: bytes, _reader: TarReader) -> None:
        """Take a hard link, whose target must be there."""
        self.order.append(name)
        self.tree[name] = self.tree[target]

    def files(self) -> dict[str, bytes]:
        """Return the contents of what is no directory, by path."""
        return {
            k.decode(): n.link if n.kind == SYMLINK else n.content
            for k, n in self.tree.items()
            if n.kind != DIRECTORY
        }


def _link(reader: TarReader) -> bytes:
    return reader.link if reader.kind == SYMLINK else b""


def groups(tree: Mapping[bytes, Node]) -> set[frozenset[bytes]]:
    """Return the sets of paths that are hard links of each other."""
    found: dict[int, set[bytes]] = {}
    for path, node in tree.items():
        found.setdefault(id(node), set()).add(path)
    return {frozenset(paths) for paths in found.values() if len(paths) > 1}


def image(
    store: Store,
    name: str,
    *layers: Iterable[E] | bytes,
    config: Mapping[str, Any] | None = None,
    architecture: str = "amd64",
) -> Image:
    """Put an image into a store and return it, resolved."""
    descriptors, diffs = [], []
    for content in layers:
        data = content if isinstance(content, bytes) else tar(content)
        diffs.append("sha256:" + hashlib.sha256(data).hexdigest())
        packed = gzip.compress(data, 1, mtime=0)
        descriptors.append(store.add_bytes(packed, media_types.OCI_LAYER_GZIP))
    document = {
        "os": "linux",
        "architecture": architecture,
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": diffs},
    }
    data = json.dumps(document, sort_keys=True).encode()
    described = store.add_bytes(data, media_types.OCI_CONFIG)
    return resolved(store, name, described, descriptors, data)


def resolved(
    store: Store, name: str, config: Descriptor, layers: Sequence[Descriptor], config_data: bytes
) -> Image:
    """Return an image of blobs that are in the store, under a name."""
    manifest = Manifest(media_types.OCI_MANIFEST, config, tuple(layers))
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": config.as_json(),
        "layers": [d.as_json() for d in layers],
    }
    described = store.add_bytes(
        json.dumps(document, sort_keys=True).encode(), media_types.OCI_MANIFEST
    )
    reference = Reference.parse(name)
    store.put(reference, described)
    return Image(reference, described, manifest, parse_image_config(config_data, name))
