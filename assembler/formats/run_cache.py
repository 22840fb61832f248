"""The cache of systems, disks and volumes that the formats of one run share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assembler.content import Content
    from assembler.formats.systems import BiosSystem, EfiSystem
    from assembler.media import IsoVolume, SparseImage


@dataclass(slots=True)
class RunCache:
    """The systems, disks and volumes of one run that are laid out already."""

    efi_system: EfiSystem | None = None
    bios_system: BiosSystem | None = None
    plain_kernel: Content | None = None
    # By their layout, and the unit that their size is a multiple of.
    disks: dict[tuple[str, int], SparseImage] = field(default_factory=dict)
    # By the name of their format.
    volumes: dict[str, IsoVolume] = field(default_factory=dict)
