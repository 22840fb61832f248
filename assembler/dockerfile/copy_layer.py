"""COPY and ADD: which files go where, and the layer they make over what is there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

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
from assembler.dockerfile.syntax import Instruction
from assembler.errors import PackageError
from assembler.oci import DIRECTORY, FILE, HARD_LINK, SYMLINK, TAR_END, TarHeader, tar_padding

_MODE = re.compile(r"[0-7]{3,4}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns what is copied."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class CopyAttributes:
    """What copies have instead of what their sources have."""

    owner: Owner | None = None
    mode: int | None = None
    # Of directories that have to be made.
    time: int = 0


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """One file of a layer: where it goes, what it is, and whose content it has."""

    path: str
    node: FileNode
    origin: str = ""


@dataclass(slots=True)
class CopyLayer:
    """What an instruction lays over the tree of a stage."""

    root: dict[str, FileNode]
    instruction: Instruction
    attributes: CopyAttributes
    entries: dict[str, LayerEntry] = field(default_factory=dict)
    # The path that has the content of a source already, for hard links among them.
    link_targets: dict[str, str] = field(default_factory=dict)

    def copy(self, files: FileTree, sources: list[str], target: str, missing: str) -> None:
        """Copy what the sources find to the target; `missing` says where they were looked for."""
        found: list[tuple[str, str]] = []
        for source in sources:
            found += self._found(files, source, missing)
        into = target.endswith(("/", "/.")) or target == "." or len(found) > 1
        where = resolve_links(self.root, target)
        for name, path in found:
            node = files.nodes.get(path, FileNode(DIRECTORY, 0o755))
            if node.kind == DIRECTORY:
                self._directory(files, path, where)
                continue
            there = self.root.get(where)
            inside = into or not where or (there is not None and there.kind == DIRECTORY)
            last = posixpath.basename(name)
            self._file(files, path, posixpath.join(where, last) if inside else where)

    def copy_tree(self, files: FileTree, target: str) -> None:
        """Lay a whole tree, as that of an archive, into the target."""
        self._directory(files, "", resolve_links(self.root, target))

    def _found(self, files: FileTree, source: str, missing: str) -> list[tuple[str, str]]:
        try:
            found = find_matches(files, source)
        except LinkError as error:
            raise self._bad(source, f"{source!r} {error}") from error
        if not found:
            what = "nothing is found by" if has_wildcard(source) else "there is no"
            raise self._bad(source, f"{what} {source!r} in {missing}", *self._close(files, source))
        return found

    def _close(self, files: FileTree, source: str) -> tuple[str, ...]:
        base = posixpath.basename(source.rstrip("/")).lower()
        near = sorted(p for p in files.nodes if posixpath.basename(p).lower() == base)[:3]
        return (f"there is {', '.join(near)}",) if near and base else ()

    def _bad(self, word: str, message: str, *hints: str) -> PackageError:
        return PackageError.of(
            packages.BAD_CONTEXT, message, *hints, place=self.instruction.place(word)
        )

    def _directory(self, files: FileTree, source: str, where: str) -> None:
        """Copy what is in a directory."""
        self.make_directory(where)
        prefix = len(source) + 1 if source else 0
        moved: dict[str, str] = {}
        for path in descendants(files.nodes, source):
            relative = path[prefix:]
            above, _, name = relative.rpartition("/")
            base = moved.get(above, where) if above else where
            target = f"{base}/{name}" if base else name
            node = files.nodes[path]
            if node.kind != DIRECTORY:
                self._file(files, path, target)
                continue
            # A directory over a link to one goes where the link leads.
            real = resolve_links(self.root, target)
            there = self.root.get(real)
            moved[relative] = real
            if there is None:
                self._put(real, replace(node, records=dict(node.records)))
            elif there.kind != DIRECTORY:
                raise self._bad("", f"/{real} is there already, and is not a directory")

    def _file(self, files: FileTree, path: str, target: str) -> None:
        there = self.root.get(target)
        if there is not None and there.kind == DIRECTORY:
            raise self._bad("", f"/{target} is there already, and is a directory")
        self.make_directory(target.rpartition("/")[0])
        node = files.nodes[path]
        origin = node.link if node.kind == HARD_LINK else path
        if node.kind == HARD_LINK or origin in self.link_targets:
            first = self.link_targets.get(origin)
            if first is not None and node.kind == HARD_LINK:
                self._put(target, FileNode(HARD_LINK, node.mode, mtime=node.mtime, link=first))
                return
            node = replace(files.nodes[origin], link="")
        if node.kind == FILE:
            self.link_targets.setdefault(origin, target)
        self._put(target, node, origin)

    def make_directory(self, path: str) -> None:
        """Make a directory with all above it, as far as they are missing."""
        if not path:
            return
        there = self.root.get(path)
        if there is not None:
            if there.kind != DIRECTORY:
                raise self._bad("", f"/{path} is there already, and is not a directory")
            return
        self.make_directory(path.rpartition("/")[0])
        owner = self.attributes.owner or Owner(0, 0)
        made = FileNode(DIRECTORY, 0o755, owner.uid, owner.gid, mtime=self.attributes.time)
        self.root[path] = made
        self.entries[path] = LayerEntry(path, made)

    def _put(self, path: str, node: FileNode, origin: str = "") -> None:
        owner, mode = self.attributes.owner, self.attributes.mode
        if owner is not None:
            node = replace(node, uid=owner.uid, gid=owner.gid)
        if mode is not None and node.kind != SYMLINK:
            node = replace(node, mode=mode)
        self.root[path] = node
        # What was copied to the same place before is replaced, and comes at its new turn.
        self.entries.pop(path, None)
        self.entries[path] = LayerEntry(path, node, origin)

    def tar(self, files: FileTree | None) -> Iterator[bytes]:
        """Yield the layer."""
        wanted = {c.origin for c in self.entries.values() if c.node.kind == FILE}
        with ExitStack() as stack:
            contents = stack.enter_context(files.contents(wanted)) if files and wanted else None
            for copy in self.entries.values():
                yield from _encode_entry(copy, contents)
        yield TAR_END


def _encode_entry(copy: LayerEntry, contents: Contents | None) -> Iterator[bytes]:
    node = copy.node
    is_directory = node.kind == DIRECTORY
    yield TarHeader(
        encode_path(copy.path) + (b"/" if is_directory else b""),
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
        yield from contents(copy.origin)
        yield tar_padding(node.size)


def parse_mode(instruction: Instruction, text: str) -> int | None:
    """Read --chmod."""
    if not text:
        return None
    if not _MODE.fullmatch(text):
        raise instruction.error(
            f"not a mode: {text!r}", "write it in octal digits, as 0755", word=text
        )
    return int(text, 8)


def parse_owner(instruction: Instruction, text: str, accounts: Accounts) -> Owner | None:
    """Read --chown: names or numbers, of a user and perhaps a group."""
    if not text:
        return None
    user, colon, group = text.partition(":")
    uid, gid = accounts.user(user), None
    if uid is None:
        raise instruction.error(
            f"the image has no user {user!r}", "name one of its /etc/passwd, or a number", word=text
        )
    gid = accounts.group(group) if colon else uid[1]
    if gid is None:
        raise instruction.error(
            f"the image has no group {group!r}",
            "name one of its /etc/group, or a number",
            word=text,
        )
    return Owner(uid[0], gid)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The users and groups of a stage."""

    passwd: str = ""
    groups: str = ""

    def user(self, name: str) -> tuple[int, int] | None:
        """Return the numbers of a user and its group."""
        if name.isdigit():
            return int(name), int(name)
        for fields in (line.split(":") for line in self.passwd.splitlines()):
            known = len(fields) > 3 and fields[2].isdigit() and fields[3].isdigit()
            if known and name == fields[0]:
                return int(fields[2]), int(fields[3])
        return None

    def group(self, name: str) -> int | None:
        """Return the number of a group."""
        for fields in (line.split(":") for line in self.groups.splitlines()):
            if len(fields) > 2 and fields[0] == name and fields[2].isdigit():
                return int(fields[2])
        return int(name) if name.isdigit() else None
