"""Helper images: boot loaders, filesystem tools and firmware out of images in the store.

HelperImage, HELPER_IMAGES          the kinds of helper images, and all of them
BOOTLOADERS, IMAGETOOLS, FIRMWARE   each kind, as formats declare it in their needs
HelperImages                        the resolved images of a run: boot files, programs, firmware
BootFiles, FilesystemTools          what formats take out of them
programs_missing_on_host(programs)  the programs for which an image is needed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.helper_images.boot_files import BootFiles
    from assembler.helper_images.catalog import (
        BOOTLOADERS,
        FIRMWARE,
        HELPER_IMAGES,
        IMAGETOOLS,
        HelperImage,
    )
    from assembler.helper_images.filesystem_tools import FilesystemTools, programs_missing_on_host
    from assembler.helper_images.images import HelperImages

_HOMES = {
    "BOOTLOADERS": "catalog",
    "BootFiles": "boot_files",
    "FIRMWARE": "catalog",
    "FilesystemTools": "filesystem_tools",
    "HELPER_IMAGES": "catalog",
    "HelperImage": "catalog",
    "HelperImages": "images",
    "IMAGETOOLS": "catalog",
    "programs_missing_on_host": "filesystem_tools",
}

__all__ = [
    "BOOTLOADERS",
    "FIRMWARE",
    "HELPER_IMAGES",
    "IMAGETOOLS",
    "BootFiles",
    "FilesystemTools",
    "HelperImage",
    "HelperImages",
    "programs_missing_on_host",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
