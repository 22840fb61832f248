"""What a pass through layers finds out: how paths were decided, and what was learned too late."""

from __future__ import annotations

from dataclasses import dataclass, field

from assembler.oci.layers.tar_fields import MalformedTarError, normalize_tar_path

# What is known of a path: the layer that decided it, counted from 1 (0 stands for exceptions), and
# how. GONE: a whiteout; TAKEN: an exception; COVERED: upper layers have made it a directory.
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
    """What a pass has found: for each directory its names, and how they were decided."""

    names: dict[bytes, dict[bytes, int]] = field(default_factory=dict)

    def kind(self, path: bytes) -> int | None:
        """Return what is known of a path, or nothing."""
        directory, base = split_path(path)
        return self.names.get(directory, {}).get(base)

    def has(self, path: bytes) -> bool:
        """Tell whether the path was handed on."""
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
    """What a pass learned too late."""

    # (layer, path): how many occurrences are followed by another one.
    repeated: dict[tuple[int, bytes], int] = field(default_factory=dict)
    # (layer, path) of hidden content: the links that need it.
    rescued: dict[tuple[int, bytes], list[bytes]] = field(default_factory=dict)
    # A symbolic link, met in this layer, that upper layers have put something below.
    moved: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)

    def counts(self) -> tuple[int, int, int]:
        """Return how much is known, of what the other things depend on first."""
        return (
            sum(self.repeated.values()),
            len(self.moved),
            sum(len(links) for links in self.rescued.values()),
        )

    def forget_doubtful(self, before: tuple[int, int, int]) -> None:
        """Drop what was learned by a pass that did not know something else yet."""
        repeated, moved, _ = self.counts()
        if repeated != before[0]:
            self.moved.clear()
        if repeated != before[0] or moved != before[1]:
            self.rescued.clear()

    def redirected(self, directory: bytes, current: int) -> bytes:
        """Return where a directory of a layer is, if lower layers have it as a link."""
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
    """Return a path of an entry in its plain form."""
    if b"\0" in name:
        raise MalformedTarError("its name holds a NUL")
    return normalize_tar_path(name)


def display_path(name: bytes) -> str:
    """Return a path for people."""
    return name.decode("utf-8", "backslashreplace")
