"""Large files that several containers have: an initrd has their content once, as hard links.

The trees of containers are never written to: a container that may write has an overlay over its
tree. So they can share files. The trees of `init` cannot, as the system writes to them, and later
parts may replace their files.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.rootfs import GeneratedPart, ImageTree, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Smaller ones save hardly more than their headers and the second encoding of their trees cost.
SMALLEST = 64 << 10


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file of one tree that others have as well."""

    # The SHA-256 of content and attributes.
    identity: str
    links: int
    # Whether it is the first one: the kernel links the others to it.
    has_content: bool

    @property
    def inode(self) -> int:
        """Return the inode number, the same in all trees."""
        return int(self.identity[:8], 16)

    @property
    def device(self) -> bytes:
        """Return the device number, the same in all trees."""
        return self.identity[8:24].upper().encode()


SharedFiles = tuple[tuple[bytes, SharedFile], ...]


def find_shared_files(
    parts: Sequence[Part], large_files: Callable[[ImageTree], Mapping[str, str]]
) -> dict[str, SharedFiles]:
    """Return the shared files of trees by the prefix of the tree.

    `large_files` returns the identities of a tree's large files by their paths.
    """
    made = {
        entry.path for part in parts if isinstance(part, GeneratedPart) for entry in part.entries
    }
    prefixes = Counter(part.prefix for part in parts if isinstance(part, ImageTree))
    trees = {
        part.prefix: {
            path: identity for path, identity in large_files(part).items() if path not in made
        }
        for part in parts
        if isinstance(part, ImageTree) and part.prefix and prefixes[part.prefix] == 1
    }
    counts = Counter(identity for files in trees.values() for identity in files.values())
    seen: set[str] = set()
    found = {}
    for prefix, files in trees.items():
        shared = []
        for path, identity in files.items():
            if counts[identity] > 1:
                file = SharedFile(identity, counts[identity], identity not in seen)
                shared.append((path.encode("utf-8", "surrogateescape"), file))
                seen.add(identity)
        if shared:
            found[prefix] = tuple(shared)
    return found
