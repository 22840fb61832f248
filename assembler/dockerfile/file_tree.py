"""Trees of files that COPY and ADD copy from: nodes in memory, contents on demand."""

from __future__ import annotations

import fnmatch
import posixpath
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Protocol

from assembler.errors import wrap_os_errors
from assembler.oci import (
    DIRECTORY,
    FILE,
    HARD_LINK,
    SYMLINK,
    LayerBlob,
    LayerLimits,
    flatten_layers,
)

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.oci import TarReader

Contents = Callable[[str], Iterator[bytes]]
_MAX_LINKS = 40
_CHUNK = 1 << 20
_WILDCARD = re.compile(r"[*?\[\\]")


class LinkError(ValueError):
    """A symbolic link leads out of the tree, or in a loop."""


@dataclass(frozen=True, slots=True)
class FileNode:
    """A file, directory or link without its content."""

    kind: int = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    # The target of a symbolic link; the path that has the content of a hard link.
    link: str = ""
    major: int = 0
    minor: int = 0
    # Extended attributes, as PAX records.
    records: Mapping[bytes, bytes] = field(default_factory=dict)


class FileTree(Protocol):
    """A tree of files; paths have no leading slash, the root is the empty path."""

    @property
    def nodes(self) -> Mapping[str, FileNode]:
        """Return all nodes by path, without the root."""

    @property
    def rooted(self) -> bool:
        """Tell whether links stay inside of the tree, as in the root of an image."""

    def contents(self, paths: Collection[str]) -> AbstractContextManager[Contents]:
        """Give a reader of the contents of these files."""


def decode_path(name: bytes) -> str:
    """Return a path in a tar as text."""
    return name.decode("utf-8", "surrogateescape")


def encode_path(name: str) -> bytes:
    """Return a path as the bytes in a tar."""
    return name.encode("utf-8", "surrogateescape")


def resolve_links(nodes: Mapping[str, FileNode], path: str, *, rooted: bool = True) -> str:
    """Return the path with all links followed; the rest of a missing path is kept."""
    done: list[str] = []
    left = [p for p in path.split("/") if p not in ("", ".")][::-1]
    links = 0
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if done:
                done.pop()
            elif not rooted:
                raise LinkError("leads out of the build context")
            continue
        here = "/".join((*done, part))
        node = nodes.get(here)
        if node is None or node.kind != SYMLINK:
            done.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise LinkError("leads in a loop of links")
        if node.link.startswith("/"):
            if not rooted:
                raise LinkError(f"leads out of the build context, to {node.link}")
            done = []
        left += node.link.split("/")[::-1]
    return "/".join(done)


def has_wildcard(pattern: str) -> bool:
    """Tell whether a pattern has wildcards."""
    return bool(_WILDCARD.search(pattern))


def find_matches(tree: FileTree, pattern: str) -> list[tuple[str, str]]:
    """Return the matches of a pattern: the matching name, and the path that it leads to."""
    nodes = tree.nodes
    clean = posixpath.normpath("/" + pattern).lstrip("/")
    if not has_wildcard(clean):
        path = resolve_links(nodes, pattern if not tree.rooted else clean, rooted=tree.rooted)
        return [(clean, path)] if not path or path in nodes else []
    found = [("", "")]
    for part in clean.split("/"):
        several = has_wildcard(part)
        further: list[tuple[str, str]] = []
        for name, base in found:
            if several:
                names = [n for n in _children(nodes, base) if fnmatch.fnmatchcase(n, part)]
            else:
                names = [part]
            for n in names:
                path = resolve_links(nodes, f"{base}/{n}", rooted=tree.rooted)
                if path in nodes:
                    further.append((f"{name}/{n}" if name else n, path))
        found = further
    return found


def descendants(nodes: Mapping[str, FileNode], directory: str) -> list[str]:
    """Return all paths below a directory, each directory before its contents."""
    if not directory:
        return sorted(nodes)
    prefix = directory + "/"
    return sorted(p for p in nodes if p.startswith(prefix))


def _children(nodes: Mapping[str, FileNode], directory: str) -> list[str]:
    prefix = f"{directory}/" if directory else ""
    found = (p.removeprefix(prefix) for p in nodes if p.startswith(prefix))
    return sorted(n for n in found if n and "/" not in n)


@dataclass(slots=True)
class ImageFileTree:
    """The files of layers or of an archive, flattened."""

    name: str
    layers: Sequence[LayerBlob]
    # The directory of the temporary files with contents.
    workspace: Path
    rooted: bool = True
    limits: LayerLimits | None = None
    _nodes: dict[str, FileNode] | None = None

    @property
    def nodes(self) -> Mapping[str, FileNode]:
        """Return all nodes by path; they are read at the first use."""
        if self._nodes is None:
            collector = _NodeCollector()
            flatten_layers(self.name, self.layers, collector, limits=self.limits)
            self._nodes = collector.nodes
        return self._nodes

    @contextmanager
    def contents(self, paths: Collection[str]) -> Iterator[Contents]:
        """Give a reader of contents; one pass through the layers copies them to a file."""
        with wrap_os_errors(self.workspace), tempfile.TemporaryFile(dir=self.workspace) as spool:
            spooled = _ContentSpool(frozenset(encode_path(p) for p in paths), spool)
            if paths:
                flatten_layers(self.name, self.layers, spooled, limits=self.limits)

            def content(path: str) -> Iterator[bytes]:
                at, left = spooled.places[encode_path(path)]
                while left:
                    spool.seek(at)
                    chunk = spool.read(min(left, _CHUNK))
                    at, left = at + len(chunk), left - len(chunk)
                    yield chunk

            yield content


@dataclass(slots=True)
class _NodeCollector:
    """Collects the nodes of entries, without contents."""

    nodes: dict[str, FileNode] = field(default_factory=dict)

    def restart(self) -> None:
        self.nodes.clear()

    def add(self, name: bytes, reader: TarReader) -> None:
        path = decode_path(name)
        self._add_parents(path)
        self.nodes[path] = FileNode(
            reader.kind,
            reader.mode & 0o7777,
            reader.uid,
            reader.gid,
            reader.size if reader.kind == FILE else 0,
            max(0, reader.mtime),
            decode_path(reader.link) if reader.kind == SYMLINK else "",
            reader.major,
            reader.minor,
            dict(reader.records),
        )

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        _ = reader
        path, real = decode_path(name), decode_path(target)
        self._add_parents(path)
        node = self.nodes[real]
        first = node.link if node.kind == HARD_LINK else real
        self.nodes[path] = replace(node, kind=HARD_LINK, link=first)

    def _add_parents(self, path: str) -> None:
        """Add parent directories that have no entry, or none yet."""
        parent = path.rpartition("/")[0]
        while parent and parent not in self.nodes:
            self.nodes[parent] = FileNode(DIRECTORY, 0o755)
            parent = parent.rpartition("/")[0]


@dataclass(slots=True)
class _ContentSpool:
    """Copies the contents of some files to a temporary file."""

    names: frozenset[bytes]
    spool: IO[bytes]
    places: dict[bytes, tuple[int, int]] = field(default_factory=dict)

    def restart(self) -> None:
        self.places.clear()
        self.spool.seek(0)
        self.spool.truncate()

    def add(self, name: bytes, reader: TarReader) -> None:
        if name in self.names and reader.kind == FILE:
            at = self.spool.tell()
            reader.write_to(self.spool.write)
            self.places[name] = (at, self.spool.tell() - at)

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Ignore it: a link has the content of its target."""
