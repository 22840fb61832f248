"""The state of flattening: which layer decided each path, and corrections for the next pass."""

from __future__ import annotations

from dataclasses import dataclass, field

from assembler.oci.layers.tar_fields import MalformedTarError, normalize_tar_path

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

    # (layer, path): how many occurrences precede another one.
    repeated: dict[tuple[int, bytes], int] = field(default_factory=dict)
    # (layer, path) of hidden content: the links that need it.
    rescued: dict[tuple[int, bytes], list[bytes]] = field(default_factory=dict)
    # Symbolic links, with their layer and target, below which upper layers have entries.
    moved: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)

    def counts(self) -> tuple[int, int, int]:
        """Return how many facts of each kind are known."""
        return (
            sum(self.repeated.values()),
            len(self.moved),
            sum(len(links) for links in self.rescued.values()),
        )

    def forget_doubtful(self, before: tuple[int, int, int]) -> None:
        """Discard facts that depend on others which the pass did not know yet."""
        repeated, moved, _ = self.counts()
        if repeated != before[0]:
            self.moved.clear()
        if repeated != before[0] or moved != before[1]:
            self.rescued.clear()

    def redirected(self, directory: bytes, current: int) -> bytes:
        """Return the directory, following links of lower layers."""
        for _ in range(MAX_PASSES):
            at = directory
            while at:
                layer, target = self.moved.get(at, (0, b""))
                if current <= layer:
                    directory = (target + directory[len(at) :]).strip(b"/")
                    break
                at = split_path(at)[0]
            else:
                return directory
        raise MalformedTarError("it lies below symbolic links that lead in a circle")


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
