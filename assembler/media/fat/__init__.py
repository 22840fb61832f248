"""FAT12, FAT16 and FAT32: small filesystems that firmware reads, written in one pass.

Everything is contiguous, directories first, then files by their paths, so the place of a file is
known before anything is written. All times are 1980-01-01, the first that FAT can store.
"""

from assembler.media.fat.geometry import FAT_SECTOR, MAX_FAT_SIZE, Geometry
from assembler.media.fat.volume import FatExtent, FatFile, FatVolume

__all__ = ["FAT_SECTOR", "MAX_FAT_SIZE", "FatExtent", "FatFile", "FatVolume", "Geometry"]
