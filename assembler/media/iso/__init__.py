"""ISO 9660 volumes with Rock Ridge, that PCs and UEFI boot from as CD and as disk.

`IsoVolume.plan` decides where everything lies; the volume is a `SparseImage`. Contents are never copied
before they are written, files of more than 4 GiB consist of several extents, and a file can lie
within another one: what a BIOS and UEFI both load need not be there twice.
"""

from assembler.media.iso.boot import SECTOR, IsoBoot
from assembler.media.iso.entries import FileSlice, IsoEntry, regular_file
from assembler.media.iso.volume import IsoVolume

__all__ = ["SECTOR", "FileSlice", "IsoBoot", "IsoEntry", "IsoVolume", "regular_file"]
