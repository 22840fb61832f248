"""The layer of a COPY or an ADD: which files go where."""

from __future__ import annotations

import posixpath
import re
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.dockerfile.file_tree import (
    Contents,
    FileNode,
    FileTree,
    LinkError,
    descendants,
    encode_path,
    find_matches,
    has_wildcard,
    resolve_links,
)
from assembler.errors import PackageError
from assembler.oci import DIRECTORY, FILE, HARD_LINK, SYMLINK, TAR_END, TarHeader, tar_padding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.dockerfile.syntax import Instruction

_MODE = re.compile(r"[0-7]{3,4}")


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a file."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class CopyAttributes:
    """The attributes that copies get instead of those of their sources."""

    owner: Owner | None = None
    mode: int | None = None
    # The time of directories that have no source.
    time: int = 0


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """An entry of a layer; its content is that of `origin` in the source tree."""

    path: str
    node: FileNode
    origin: str = ""


@dataclass(slots=True)
class CopyLayer:
    """The entries that an instruction adds over the tree of a stage."""

    nodes: dict[str, FileNode]
    instruction: Instruction
    attributes: CopyAttributes
    entries: dict[str, LayerEntry] = field(default_factory=dict)
    # For hard links: the entry with the content of a source.
    link_targets: dict[str, str] = field(default_factory=dict)

    def copy(self, tree: FileTree, sources: list[str], target: str, tree_name: str) -> None:
        """Copy sources from a tree to the target; the tree has a name in messages."""
        found: list[tuple[str, str]] = []
        for source in sources:
            found += self._find(tree, source, tree_name)
        into = target.endswith(("/", "/.")) or target == "." or len(found) > 1
        destination = resolve_links(self.nodes, target)
        for name, path in found:
            node = tree.nodes.get(path, FileNode(DIRECTORY, 0o755))
            if node.kind == DIRECTORY:
                self._copy_directory(tree, path, destination)
                continue
            existing = self.nodes.get(destination)
            is_directory = existing is not None and existing.kind == DIRECTORY
            if into or not destination or is_directory:
                self._copy_file(tree, path, posixpath.join(destination, posixpath.basename(name)))
            else:
                self._copy_file(tree, path, destination)

    def copy_tree(self, tree: FileTree, target: str) -> None:
        """Copy a whole tree, such as an archive's, into the target."""
        self._copy_directory(tree, "", resolve_links(self.nodes, target))

    def _find(self, tree: FileTree, source: str, tree_name: str) -> list[tuple[str, str]]:
        try:
            found = find_matches(tree, source)
        except LinkError as error:
            raise self._error(source, f"{source!r} {error}") from error
        if not found:
            what = "nothing matches" if has_wildcard(source) else "there is no"
            message = f"{what} {source!r} in {tree_name}"
            raise self._error(source, message, *self._similar_paths(tree, source))
        return found

    def _similar_paths(self, tree: FileTree, source: str) -> tuple[str, ...]:
        base = posixpath.basename(source.rstrip("/")).lower()
        near = sorted(p for p in tree.nodes if posixpath.basename(p).lower() == base)[:3]
        return (f"there is {', '.join(near)}",) if near and base else ()

    def _error(self, word: str, message: str, *hints: str) -> PackageError:
        return PackageError.of(
            packages.BAD_CONTEXT, message, *hints, place=self.instruction.place(word)
        )

    def _copy_directory(self, tree: FileTree, source: str, destination: str) -> None:
        """Copy the contents of a directory."""
        self.make_directory(destination)
        prefix = len(source) + 1 if source else 0
        moved: dict[str, str] = {}
        for path in descendants(tree.nodes, source):
            relative = path[prefix:]
            parent, _, name = relative.rpartition("/")
            base = moved.get(parent, destination) if parent else destination
            target = f"{base}/{name}" if base else name
            node = tree.nodes[path]
            if node.kind != DIRECTORY:
                self._copy_file(tree, path, target)
                continue
            # A link to a directory is followed.
            real = resolve_links(self.nodes, target)
            existing = self.nodes.get(real)
            moved[relative] = real
            if existing is None:
                self._add_entry(real, replace(node, records=dict(node.records)))
            elif existing.kind != DIRECTORY:
                raise self._error("", f"/{real} exists and is not a directory")

    def _copy_file(self, tree: FileTree, path: str, target: str) -> None:
        existing = self.nodes.get(target)
        if existing is not None and existing.kind == DIRECTORY:
            raise self._error("", f"/{target} exists and is a directory")
        self.make_directory(target.rpartition("/")[0])
        node = tree.nodes[path]
        origin = node.link if node.kind == HARD_LINK else path
        if node.kind == HARD_LINK or origin in self.link_targets:
            first = self.link_targets.get(origin)
            if first is not None and node.kind == HARD_LINK:
                self._add_entry(
                    target, FileNode(HARD_LINK, node.mode, mtime=node.mtime, link=first)
                )
                return
            node = replace(tree.nodes[origin], link="")
        if node.kind == FILE:
            self.link_targets.setdefault(origin, target)
        self._add_entry(target, node, origin)

    def make_directory(self, path: str) -> None:
        """Add a directory and its parents, as far as they are missing."""
        if not path:
            return
        existing = self.nodes.get(path)
        if existing is not None:
            if existing.kind != DIRECTORY:
                raise self._error("", f"/{path} exists and is not a directory")
            return
        self.make_directory(path.rpartition("/")[0])
        owner = self.attributes.owner or Owner(0, 0)
        node = FileNode(DIRECTORY, 0o755, owner.uid, owner.gid, mtime=self.attributes.time)
        self.nodes[path] = node
        self.entries[path] = LayerEntry(path, node)

    def _add_entry(self, path: str, node: FileNode, origin: str = "") -> None:
        owner, mode = self.attributes.owner, self.attributes.mode
        if owner is not None:
            node = replace(node, uid=owner.uid, gid=owner.gid)
        if mode is not None and node.kind != SYMLINK:
            node = replace(node, mode=mode)
        self.nodes[path] = node
        # An earlier entry of this path is replaced by a later one.
        self.entries.pop(path, None)
        self.entries[path] = LayerEntry(path, node, origin)

    def tar(self, tree: FileTree | None) -> Iterator[bytes]:
        """Yield the layer as a tar."""
        origins = {e.origin for e in self.entries.values() if e.node.kind == FILE}
        with ExitStack() as stack:
            contents = stack.enter_context(tree.contents(origins)) if tree and origins else None
            for entry in self.entries.values():
                yield from _encode_entry(entry, contents)
        yield TAR_END


def _encode_entry(entry: LayerEntry, contents: Contents | None) -> Iterator[bytes]:
    node = entry.node
    is_directory = node.kind == DIRECTORY
    yield TarHeader(
        encode_path(entry.path) + (b"/" if is_directory else b""),
        bytes([node.kind]),
        node.mode,
        node.uid,
        node.gid,
        node.size if node.kind == FILE else 0,
        node.mtime,
        b"",
        encode_path(node.link),
        node.major,
        node.minor,
        node.records,
    ).blocks()
    if node.kind == FILE and contents is not None:
        yield from contents(entry.origin)
        yield tar_padding(node.size)


def parse_mode(instruction: Instruction, text: str) -> int | None:
    """Parse --chmod."""
    if not text:
        return None
    if not _MODE.fullmatch(text):
        raise instruction.error(
            f"invalid mode {text!r}", "write octal digits, such as 0755", word=text
        )
    return int(text, 8)


def parse_owner(instruction: Instruction, text: str, accounts: Accounts) -> Owner | None:
    """Parse --chown: the name or number of a user, and perhaps of a group."""
    if not text:
        return None
    user, colon, group = text.partition(":")
    uid, gid = accounts.user(user), None
    if uid is None:
        raise instruction.error(
            f"the image has no user {user!r}",
            "write a user of its /etc/passwd, or a number",
            word=text,
        )
    gid = accounts.group(group) if colon else uid[1]
    if gid is None:
        raise instruction.error(
            f"the image has no group {group!r}",
            "write a group of its /etc/group, or a number",
            word=text,
        )
    return Owner(uid[0], gid)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The users and groups of a stage."""

    passwd: str = ""
    groups: str = ""

    def user(self, name: str) -> tuple[int, int] | None:
        """Return the UID of a user and the GID of its group."""
        if name.isdigit():
            return int(name), int(name)
        for fields in (line.split(":") for line in self.passwd.splitlines()):
            known = len(fields) > 3 and fields[2].isdigit() and fields[3].isdigit()
            if known and name == fields[0]:
                return int(fields[2]), int(fields[3])
        return None

    def group(self, name: str) -> int | None:
        """Return the GID of a group."""
        for fields in (line.split(":") for line in self.groups.splitlines()):
            if len(fields) > 2 and fields[0] == name and fields[2].isdigit():
                return int(fields[2])
        return int(name) if name.isdigit() else None
