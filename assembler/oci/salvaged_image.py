"""Salvaged images: the content of images whose layers are gone, from the tar of a build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SalvagedContent:
    """A range of a tar file, with the digest of its content."""

    path: Path
    start: int
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class SalvagedTree:
    """The image's tree after some rules, with a prefix before every name."""

    rules: str
    prefix: str
    content: SalvagedContent


@dataclass(frozen=True, slots=True)
class SalvagedFile:
    """A file in the root of the image: the kernel, microcode, or the archive of modules."""

    name: str
    mode: int
    content: SalvagedContent


@dataclass(frozen=True, slots=True)
class SalvagedImage:
    """All content that an earlier build has of the image."""

    trees: tuple[SalvagedTree, ...] = ()
    files: tuple[SalvagedFile, ...] = ()
    # The kernel was decompressed when the archive was made.
    kernel_decompressed: bool = False

    @property
    def identity(self) -> str:
        """Return a text that identifies all of the content."""
        return ",".join(
            (
                *(f"{t.rules}:{t.prefix}:{t.content.digest}" for t in self.trees),
                *(f"{f.name}:{f.mode:o}:{f.content.digest}" for f in self.files),
            )
        )

    def tree(self, rules: str) -> SalvagedTree | None:
        """Return the tree after these rules, if there is one."""
        return next((t for t in self.trees if t.rules == rules), None)

    def file(self, name: str) -> SalvagedFile | None:
        """Return a file of the image's root."""
        return next((f for f in self.files if f.name == name), None)
