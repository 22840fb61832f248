"""The state of flattening: which layer decided each path, and corrections for the next pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.oci.layers.tar_fields import MalformedTarError, normalize_tar_path

if TYPE_CHECKING:
    from collections.abc import Callable

# The state of a path is LAYER_STEP times the layer that decided it, counted from 1 (0 stands for
# excluded paths), plus one of these. COVERED_DIR: upper layers have made it a directory.
DIR = 0
OTHER = 1
SYMLINKED = 2
WHITED_OUT = 3
EXCLUDED = 4
COVERED_DIR = 5
LAYER_STEP = 8
MAX_PASSES = 24

LayerPath = tuple[int, bytes]


@dataclass(slots=True)
class FlattenedTree:
    """The tree of a pass: the names in each directory, and their states."""

    names: dict[bytes, dict[bytes, int]] = field(default_factory=dict)

    def kind(self, path: bytes) -> int | None:
        """Return the state of a path, or None."""
        directory, base = split_path(path)
        return self.names.get(directory, {}).get(base)

    def has(self, path: bytes) -> bool:
        """Tell whether the path was added to the sink."""
        known = self.kind(path)
        return known is not None and known % LAYER_STEP in (DIR, OTHER, SYMLINKED)

    def is_directory(self, path: bytes) -> bool:
        """Tell whether the path is a directory, perhaps only because something lies in it."""
        known = self.kind(path)
        if known is None:
            return not path or bool(self.names.get(path))
        return known % LAYER_STEP == DIR


@dataclass(slots=True)
class Corrections:
    """Facts that a pass learned too late, for the next pass."""

    # How many occurrences of a path precede another one in the layer.
    repeated: dict[LayerPath, int] = field(default_factory=dict)
    # Hidden content: the links that need it.
    rescued: dict[LayerPath, list[bytes]] = field(default_factory=dict)
    # Symbolic links, with their layer and target, below which this or upper layers have entries.
    moved: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    # New ones of the current pass. They count in the next pass only: a later entry of the same
    # layer may replace the link.
    found: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    # By layer: its symbolic links below which the layer itself has entries.
    traversed: dict[int, set[bytes]] = field(default_factory=dict)
    # By the layer of a hard link: a symbolic link of a lower layer in the path of its target, and
    # where it leads.
    detours: dict[LayerPath, bytes] = field(default_factory=dict)

    def copy(self) -> Corrections:
        """Return the same facts, which stay as they are."""
        return Corrections(
            dict(self.repeated),
            {key: list(links) for key, links in self.rescued.items()},
            dict(self.moved),
            dict(self.found),
            {layer: set(links) for layer, links in self.traversed.items()},
            dict(self.detours),
        )

    def settle(self, known: Corrections, tree: FlattenedTree, superseded: set[LayerPath]) -> bool:
        """Discard doubtful facts; tell whether the pass knew all facts; `known` are these.

        `superseded` are the paths of which the pass skipped all occurrences.
        """
        self.moved |= self.found
        self.found.clear()
        for path, (layer, _) in list(self.moved.items()):
            # Following another link has shown that an upper layer replaces this one.
            if tree.kind(path) not in (None, layer * LAYER_STEP + SYMLINKED):
                del self.moved[path]
        if self == known:
            # Counted before a link was known that leads some of the occurrences elsewhere.
            for key in superseded:
                del self.repeated[key]
                self.rescued.clear()
            return not superseded
        # Facts depend on those of the kinds before them.
        doubtful = self.repeated != known.repeated
        if doubtful:
            self.moved.clear()
            self.traversed.clear()
        doubtful |= (self.moved, self.traversed) != (known.moved, known.traversed)
        if doubtful:
            self.detours.clear()
        if doubtful or self.detours != known.detours:
            self.rescued.clear()
        return False

    def redirected(self, directory: bytes, current: int) -> bytes:
        """Return the directory, following links of this and lower layers."""

        def moved(at: bytes) -> bytes | None:
            layer, target = self.moved.get(at, (0, b""))
            return target if current <= layer else None

        return follow_links(directory, moved)


def follow_links(directory: bytes, target_of: Callable[[bytes], bytes | None]) -> bytes:
    """Return the directory without the links that `target_of` knows."""
    for _ in range(MAX_PASSES):
        cut = directory.find(b"/")
        while directory:
            at = directory if cut < 0 else directory[:cut]
            target = target_of(at)
            if target is not None:
                directory = (target + directory[len(at) :]).strip(b"/")
                break
            if cut < 0:
                return directory
            cut = directory.find(b"/", cut + 1)
        else:
            return directory
    raise MalformedTarError("it lies below symbolic links that lead in a circle")


def symlink_target(name: bytes, link: bytes) -> bytes:
    """Return the path that a symbolic link leads to, never outside the root."""
    directory = b"" if link[:1] == b"/" else split_path(name)[0]
    parts = directory.split(b"/") if directory else []
    for part in link.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part and part != b".":
            parts.append(part)
    return b"/".join(parts)


def split_path(path: bytes) -> tuple[bytes, bytes]:
    """Return the directory (empty for the root) and the name in it."""
    directory, _, base = path.rpartition(b"/")
    return directory, base


def normalize_entry_name(name: bytes) -> bytes:
    """Return the normalized path of an entry."""
    if b"\0" in name:
        raise MalformedTarError("its name holds a NUL")
    return normalize_tar_path(name)


def display_path(name: bytes) -> str:
    """Return a path as text for messages."""
    return name.decode("utf-8", "backslashreplace")
