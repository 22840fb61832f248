"""What the archive of an earlier build has of an image whose layers cannot be had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SalvagedContent:
    """A stretch of a file, by place and content."""

    path: Path
    start: int
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class SalvagedTree:
    """The image's tree as some rules have made it, with a prefix to every name."""

    rules: str
    prefix: str
    content: SalvagedContent


@dataclass(frozen=True, slots=True)
class SalvagedFile:
    """A file of the image's root: the kernel, microcode, or the archive of modules."""

    name: str
    mode: int
    content: SalvagedContent


@dataclass(frozen=True, slots=True)
class SalvagedImage:
    """All that there is of the image."""

    trees: tuple[SalvagedTree, ...] = ()
    files: tuple[SalvagedFile, ...] = ()
    # The kernel was decompressed when the archive was made.
    kernel_decompressed: bool = False

    @property
    def identity(self) -> str:
        """Return what stands for all of the content."""
        return ",".join(
            (
                *(f"{t.rules}:{t.prefix}:{t.content.digest}" for t in self.trees),
                *(f"{f.name}:{f.mode:o}:{f.content.digest}" for f in self.files),
            )
        )

    def tree(self, rules: str) -> SalvagedTree | None:
        """Return the tree that these rules have made, if there is one."""
        return next((t for t in self.trees if t.rules == rules), None)

    def file(self, name: str) -> SalvagedFile | None:
        """Return a file of the image's root."""
        return next((f for f in self.files if f.name == name), None)
