"""Flattening random layers gives the same tree as applying them in order."""

from __future__ import annotations

import os
import random
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from assembler.errors import LayerError
from assembler.oci.layers import DIRECTORY, FILE, SYMLINK
from assembler.oci.layers import flatten_layers as flatten
from support.archives import Collected, E, Node, directory, groups, hardlink, layer, symlink

if TYPE_CHECKING:
    from pathlib import Path

# The number of stacks: `STACKS=20000 pytest FILE` after a change of flattening.
STACKS = int(os.environ.get("STACKS", "2000"))


class Tree(dict[bytes, Node]):
    """Paths and what they are; and the links that layers have written through.

    Flattening from the top down knows of a link that something was written through, but not if
    the link is something else further up; no real layers do that.
    """

    def __init__(self, other: Tree | None = None) -> None:
        super().__init__(other or {})
        self.traversed: set[bytes] = set() if other is None else set(other.traversed)
        # What hard links lead to: none of it is written through, either.
        self.linked: set[Node] = set() if other is None else set(other.linked)


class NonsenseError(Exception):
    """What was drawn makes no sense; no tool would have written it."""


def resolve(tree: Tree, path: bytes) -> bytes:
    """Return where a path leads if its directories are symbolic links."""
    for _ in range(20):
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            at = b"/".join(parts[:count])
            node = tree.get(at)
            if node is not None and node.kind == SYMLINK:
                if node in tree.linked:
                    raise NonsenseError
                tree.traversed.add(at)
                base = [] if node.link[:1] == b"/" else parts[: count - 1]
                for part in node.link.split(b"/"):
                    if part == b"..":
                        del base[-1:]
                    elif part:
                        base.append(part)
                path = b"/".join([*base, *parts[count:]])
                break
        else:
            return path
    raise NonsenseError


def remove(tree: Tree, path: bytes) -> None:
    for other in [p for p in tree if p == path or p.startswith(path + b"/")]:
        if other in tree.traversed:
            raise NonsenseError
        del tree[other]


def apply(tree: Tree, entries: list[E]) -> None:  # noqa: C901, PLR0912 - a model in one piece
    """Do what unpacking a layer over the ones below does."""
    below = Tree(tree)
    fresh: set[bytes] = set()
    targets: set[bytes] = set()
    replaced = {e.name.encode() for e in entries if e.type != tarfile.DIRTYPE}
    whiteouts = [e.name.encode() for e in entries if ".wh." in e.name]
    whiteouts += [resolve(below, name) for name in whiteouts]
    for entry in entries:
        name = entry.name.encode()
        parent, _, base = name.rpartition(b"/")
        if base == b".wh..wh..opq":
            at = resolve(below, parent + b"/x")[:-2]
            for path in [p for p in tree if p.startswith(at + b"/")]:
                remove(tree, path)
            parts = at.split(b"/")
            for above in (b"/".join(parts[:count]) for count in range(1, len(parts) + 1)):
                if above in tree and tree[above].kind != DIRECTORY:
                    if at != parent:
                        raise NonsenseError
                    remove(tree, above)
        elif base.startswith(b".wh."):
            hidden = resolve(below, (parent + b"/" if parent else b"") + base[4:])
            remove(tree, hidden)
    tree.traversed |= below.traversed
    # The order of whiteouts would count.
    if not tree.traversed <= tree.keys():
        raise NonsenseError
    kept = set(tree)
    for entry in entries:
        name = entry.name.encode()
        if b".wh." in name:
            continue
        name = resolve(tree, name)
        parts = name.split(b"/")
        for count in range(1, len(parts)):
            at = b"/".join(parts[:count])
            if at in tree and tree[at].kind != DIRECTORY:
                if at in fresh or name != entry.name.encode():
                    raise NonsenseError
                del tree[at]
        kind = {tarfile.DIRTYPE: DIRECTORY, tarfile.SYMTYPE: SYMLINK}.get(entry.type, FILE)
        same_layer = name in fresh
        if kind != DIRECTORY and any(p.startswith(name + b"/") for p in fresh):
            raise NonsenseError
        if name in tree.traversed or (same_layer and name in targets):
            raise NonsenseError
        old = tree.get(name)
        if entry.type == tarfile.LNKTYPE:
            target = resolve(tree, entry.link.encode())
            node = tree.get(target) if target in fresh else below.get(target)
            if node is None or node.kind == DIRECTORY or target == name or same_layer:
                raise NonsenseError
            if target not in fresh and target in kept and tree.get(target) is not node:
                raise NonsenseError
            tree.linked.add(node)
            targets.add(target)
        else:
            node = Node(kind, entry.data, entry.link.encode(), entry.mode)
        if kind != DIRECTORY or (old is not None and old.kind != DIRECTORY):
            remove(tree, name)
        tree[name] = node
        fresh.add(name)
        if kind != DIRECTORY:
            replaced.add(name)
    if any(name.startswith(path + b"/") for path in replaced for name in whiteouts):
        raise NonsenseError


def draw(rng: random.Random) -> tuple[list[list[E]], Tree]:
    """Return layers that make sense one after the other, and what they make."""
    tree = Tree()
    layers: list[list[E]] = []
    for number in range(rng.randint(1, 4)):
        entries: list[E] = []
        for _ in range(rng.randint(1, 7)):
            attempt = [*entries, draw_entry(rng, tree, entries, number)]
            trial = Tree(tree)
            try:
                apply(trial, attempt)
            except NonsenseError:
                continue
            entries = attempt
        apply(tree, entries)
        layers.append(entries)
    return layers, tree


def draw_path(rng: random.Random) -> str:
    return "/".join(rng.choice("abc") for _ in range(rng.choice((1, 1, 2, 2, 3))))


def draw_entry(rng: random.Random, tree: Tree, entries: list[E], number: int) -> E:
    name = draw_path(rng)
    what = rng.random()
    if what < 0.25:
        return directory(name, mode=rng.choice((0o755, 0o700, 0o1777)))
    if what < 0.5:
        return E(name, f"{number} {len(entries)} {name}".encode(), mode=rng.choice((0o644, 0o4755)))
    if what < 0.6:
        return symlink(name, rng.choice(("a", "b", "c", "/a", "../b", "b/c")))
    if what < 0.75 and tree:
        above, _, base = name.rpartition("/")
        return E(f"{above}/.wh.{base}" if above else f".wh.{base}")
    if what < 0.8:
        return E(f"{name}/.wh..wh..opq")
    names = [e.name for e in entries if ".wh." not in e.name] + [p.decode() for p in tree]
    return hardlink(name, rng.choice(names)) if names else directory(name)


def shape(tree: dict[bytes, Node]) -> dict[bytes, tuple[int, bytes, bytes, int]]:
    return {p: (n.kind, n.content, n.link, n.mode) for p, n in tree.items()}


class Directory:
    """A real directory into which layers are unpacked, whiteouts before the other entries."""

    def __init__(self, place: Path) -> None:
        self.root = place / "root"
        self.hidden = place / "hidden"
        self.root.mkdir()

    def real(self, name: str) -> Path:
        """Return the place of a path, following symbolic links in its directories."""
        *parts, base = name.split("/")
        at = self.root
        while parts:
            part = parts.pop(0)
            if part == "..":
                at = at if at == self.root else at.parent
            elif (at / part).is_symlink():
                link = str((at / part).readlink())
                at = self.root if link[0] == "/" else at
                parts = [*link.strip("/").split("/"), *parts]
            else:
                at /= part
        return at / base

    def hide(self, path: Path) -> None:
        """Move a path where only hard links of the layer find it."""
        if path.is_dir() and not path.is_symlink():
            for child in path.iterdir():
                self.hide(child)
            path.rmdir()
        elif os.path.lexists(path):
            place = self.hidden / path.relative_to(self.root)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)

    def make_directory(self, path: Path) -> None:
        """Make a directory and those above it, instead of files."""
        at = self.root
        for part in path.relative_to(self.root).parts:
            at /= part
            if at.is_symlink() or at.is_file():
                at.unlink()
            at.mkdir(exist_ok=True)

    def unpack(self, entries: list[E]) -> None:
        """Unpack a layer."""
        shutil.rmtree(self.hidden, ignore_errors=True)
        for name in (e.name for e in entries if ".wh." in e.name):
            above, _, base = name.rpartition("/")
            if base != ".wh..wh..opq":
                self.hide(self.real(f"{above}/{base[4:]}" if above else base[4:]))
                continue
            place = self.real(f"{above}/x").parent
            for at in [place, *place.parents]:
                if at.is_file():
                    self.hide(at)
            for path in place.iterdir() if place.is_dir() else ():
                self.hide(path)
        for entry in entries:
            if ".wh." not in entry.name:
                self.put(entry)

    def put(self, entry: E) -> None:
        """Unpack an entry that is no whiteout."""
        path = self.real(entry.name)
        self.make_directory(path.parent)
        if entry.type == tarfile.DIRTYPE:
            self.make_directory(path)
            path.chmod(entry.mode)
            return
        new = self.root.parent / "new"
        if entry.type == tarfile.LNKTYPE:
            target = self.real(entry.link)
            if not os.path.lexists(target) or (target.is_dir() and not target.is_symlink()):
                target = self.hidden / target.relative_to(self.root)
            # The target may lie below what it replaces.
            os.link(target, new, follow_symlinks=False)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        if entry.type == tarfile.LNKTYPE:
            new.rename(path)
        elif entry.type == tarfile.SYMTYPE:
            path.symlink_to(entry.link)
        else:
            path.write_bytes(entry.data)
            path.chmod(entry.mode)

    def tree(self) -> dict[bytes, Node]:
        """Return the tree."""
        nodes: dict[int, Node] = {}
        found = {}
        for path in self.root.rglob("*"):
            status = path.lstat()
            if path.is_symlink():
                node = Node(SYMLINK, b"", os.fsencode(path.readlink()), 0o777)
            elif path.is_dir():
                node = Node(DIRECTORY, b"", b"", status.st_mode & 0o7777)
            else:
                node = Node(FILE, path.read_bytes(), b"", status.st_mode & 0o7777)
            found[os.fsencode(path.relative_to(self.root))] = nodes.setdefault(status.st_ino, node)
        return found


def test_the_model_is_what_a_directory_has_after_unpacking(tmp_path: Path) -> None:
    for seed in range(STACKS // 10):
        layers, expected = draw(random.Random(seed))
        (tmp_path / str(seed)).mkdir()
        unpacked = Directory(tmp_path / str(seed))
        for entries in layers:
            unpacked.unpack(entries)
        tree = unpacked.tree()
        # Directories without an entry of their own are there, too.
        for path in [p for p, n in tree.items() if n.kind == DIRECTORY and p not in expected]:
            del tree[path]
        assert shape(tree) == shape(expected), f"seed {seed}"
        assert groups(tree) == groups(expected), f"seed {seed}"


@pytest.mark.parametrize("start", range(0, STACKS, 500))
def test_flattening_is_applying_layers_in_order(start: int) -> None:
    for seed in range(start, min(start + 500, STACKS)):
        layers, expected = draw(random.Random(seed))
        sink = Collected()
        told = f"seed {seed}\n" + "\n".join(
            f"{number}: {[(e.name, e.type.decode(), e.link) for e in entries]}"
            for number, entries in enumerate(layers)
        )
        try:
            flatten("image", [layer(entries, plain=True) for entries in layers], sink)
        except LayerError as error:
            pytest.fail(f"{told}\n{error}")
        assert shape(sink.tree) == shape(expected), told
        assert groups(sink.tree) == groups(expected), told
