"""Trees of files that COPY and ADD take from: their nodes in memory, their contents on demand."""

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
from assembler.oci import DIRECTORY, FILE, HARD_LINK, SYMLINK, LayerBlob, flatten_layers

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.oci import TarReader

Contents = Callable[[str], Iterator[bytes]]
_MAX_LINKS = 40
_CHUNK = 1 << 20
_WILDCARD = re.compile(r"[*?\[\\]")


class LinkError(ValueError):
    """A symbolic link leads out of the tree, or in a circle."""


@dataclass(frozen=True, slots=True)
class FileNode:
    """A file, directory or link, without its content."""

    kind: int = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    # Of a symbolic link as it is, of a hard link the path that has the content.
    link: str = ""
    major: int = 0
    minor: int = 0
    # Extended attributes as tar has them.
    records: Mapping[bytes, bytes] = field(default_factory=dict)


class FileTree(Protocol):
    """A tree of files; paths have no slash at their beginning, the root is the empty one."""

    @property
    def nodes(self) -> Mapping[str, FileNode]:
        """Return every path there is, the root left out."""

    @property
    def rooted(self) -> bool:
        """Tell whether links stay inside, as in an image's root, and cannot lead out."""

    def contents(self, paths: Collection[str]) -> AbstractContextManager[Contents]:
        """Give the contents of some files, during a block."""


def decode_path(name: bytes) -> str:
    """Return a path of a tar as text."""
    return name.decode("utf-8", "surrogateescape")


def encode_path(name: str) -> bytes:
    """Return a path as a tar has it."""
    return name.encode("utf-8", "surrogateescape")


def resolve_links(nodes: Mapping[str, FileNode], path: str, *, rooted: bool = True) -> str:
    """Return the path with all links followed; what is not there is taken as it is."""
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
            raise LinkError("leads in a circle of links")
        if node.link.startswith("/"):
            if not rooted:
                raise LinkError(f"leads out of the build context, to {node.link}")
            done = []
        left += node.link.split("/")[::-1]
    return "/".join(done)


def has_wildcard(pattern: str) -> bool:
    """Tell whether a pattern may stand for several paths."""
    return bool(_WILDCARD.search(pattern))


def find_matches(files: FileTree, pattern: str) -> list[tuple[str, str]]:
    """Return what a pattern finds: the name as it was found, and the path it leads to."""
    nodes = files.nodes
    clean = posixpath.normpath("/" + pattern).lstrip("/")
    if not has_wildcard(clean):
        path = resolve_links(nodes, pattern if not files.rooted else clean, rooted=files.rooted)
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
                path = resolve_links(nodes, f"{base}/{n}", rooted=files.rooted)
                if path in nodes:
                    further.append((f"{name}/{n}" if name else n, path))
        found = further
    return found


def descendants(nodes: Mapping[str, FileNode], directory: str) -> list[str]:
    """Return everything in a directory at any depth, directories before what is in them."""
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
    """The files of an image's layers, or of an archive, flattened."""

    what: str
    layers: Sequence[LayerBlob]
    # Where contents wait that were asked for.
    workspace: Path
    rooted: bool = True
    _nodes: dict[str, FileNode] | None = None

    @property
    def nodes(self) -> Mapping[str, FileNode]:
        """Return every path, read at the first use."""
        if self._nodes is None:
            collector = _NodeCollector()
            flatten_layers(self.what, self.layers, collector)
            self._nodes = collector.nodes
        return self._nodes

    @contextmanager
    def contents(self, paths: Collection[str]) -> Iterator[Contents]:
        """Give contents out of a temporary file, written in one pass through the layers."""
        with wrap_os_errors(self.workspace), tempfile.TemporaryFile(dir=self.workspace) as spool:
            keeper = _ContentSpool(frozenset(encode_path(p) for p in paths), spool)
            if paths:
                flatten_layers(self.what, self.layers, keeper)

            def content(path: str) -> Iterator[bytes]:
                at, left = keeper.places[encode_path(path)]
                while left:
                    spool.seek(at)
                    chunk = spool.read(min(left, _CHUNK))
                    at, left = at + len(chunk), left - len(chunk)
                    yield chunk

            yield content


@dataclass(slots=True)
class _NodeCollector:
    """Notes what entries are, and reads no content."""

    nodes: dict[str, FileNode] = field(default_factory=dict)

    def restart(self) -> None:
        self.nodes.clear()

    def add(self, name: bytes, reader: TarReader) -> None:
        path = decode_path(name)
        self._parents(path)
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
        self._parents(path)
        node = self.nodes[real]
        first = node.link if node.kind == HARD_LINK else real
        self.nodes[path] = replace(node, kind=HARD_LINK, link=first)

    def _parents(self, path: str) -> None:
        """Note directories that have no entry of their own, or none yet."""
        above = path.rpartition("/")[0]
        while above and above not in self.nodes:
            self.nodes[above] = FileNode(DIRECTORY, 0o755)
            above = above.rpartition("/")[0]


@dataclass(slots=True)
class _ContentSpool:
    """Keeps the contents of some files."""

    wanted: frozenset[bytes]
    spool: IO[bytes]
    places: dict[bytes, tuple[int, int]] = field(default_factory=dict)

    def restart(self) -> None:
        self.places.clear()
        self.spool.seek(0)
        self.spool.truncate()

    def add(self, name: bytes, reader: TarReader) -> None:
        if name in self.wanted and reader.kind == FILE:
            at = self.spool.tell()
            reader.write_to(self.spool.write)
            self.places[name] = (at, self.spool.tell() - at)

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Leave it: a link's content is that of its target."""
