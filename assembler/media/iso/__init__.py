"""ISO 9660 volumes with Rock Ridge, that PCs and UEFI boot as CDs and as disks.

`IsoVolume.plan` lays a volume out; the volume is a `SparseImage`. Contents are not copied before
they are written, files of more than 4 GiB have several sections, and a file can be a slice of
another one: what a BIOS and UEFI both load is stored once.
"""

from assembler.media.iso.boot import IsoBoot
from assembler.media.iso.entries import FileSlice, IsoEntry, regular_file
from assembler.media.iso.rock_ridge import ISO_SECTOR
from assembler.media.iso.volume import IsoVolume

__all__ = ["ISO_SECTOR", "FileSlice", "IsoBoot", "IsoEntry", "IsoVolume", "regular_file"]
