"""The types of tar entries."""

from __future__ import annotations

FILE = ord("0")
HARD_LINK = ord("1")
SYMLINK = ord("2")
CHARACTER_DEVICE = ord("3")
BLOCK_DEVICE = ord("4")
DIRECTORY = ord("5")
FIFO = ord("6")

_OLD_FILE, _CONTIGUOUS, GNU_SPARSE = 0, 0x37, 0x53
# What each type flag stands for.
ENTRY_TYPES = {
    FILE: FILE,
    HARD_LINK: HARD_LINK,
    SYMLINK: SYMLINK,
    CHARACTER_DEVICE: CHARACTER_DEVICE,
    BLOCK_DEVICE: BLOCK_DEVICE,
    DIRECTORY: DIRECTORY,
    FIFO: FIFO,
    _OLD_FILE: FILE,
    _CONTIGUOUS: FILE,
    GNU_SPARSE: FILE,
}
