"""The inputs of a recipe's layer: package files, compiled programs, a kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.config import DebsRecipe
    from assembler.debian.package_files import PackageFile


@dataclass(frozen=True, slots=True)
class LayerInputs:
    """The recipe of a layer and its package files."""

    debs: DebsRecipe
    architecture: str
    packages: tuple[PackageFile, ...]
    # The directory of the package, which the sources of `files:` are relative to.
    directory: Path = field(default_factory=Path)
    # Compiled programs by their paths in the image, and their time.
    programs: Mapping[str, Path] = field(default_factory=dict)
    programs_timestamp: int = 0
    # A tar with a kernel that was compiled, and what belongs to it, at Debian's paths.
    kernel: Path | None = None
    # If not None, only these of the packages' paths are kept, and what their copyright is.
    kept: frozenset[str] | None = None

    @property
    def timestamp(self) -> int:
        """Return the time of the newest package or program, which generated files have."""
        times = [package.timestamp for package in self.packages]
        return max([*times, self.programs_timestamp])
