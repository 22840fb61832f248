"""The helper images of one run, resolved: what formats take boot files and programs from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from assembler.helper_images.boot_files import BootFiles
from assembler.helper_images.catalog import (
    BOOTLOADERS,
    EARLY_INIT,
    FIRMWARE,
    IMAGETOOLS,
    HelperImage,
)
from assembler.helper_images.filesystem_tools import FilesystemTools
from assembler.oci import read_image_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assembler.oci import Image, Store

EARLY_FILES = frozenset({"init", "usr/lib/dolmen/early-modules", "usr/lib/dolmen/verity-modules"})


@dataclass(frozen=True)
class HelperImages:
    """Images by their kind, complete in the store; those that no format needs are absent."""

    store: Store
    images: Mapping[HelperImage, Image]
    # Resolves an image that turns out to be needed while outputs are written.
    resolve: Callable[[HelperImage], Image]

    @cached_property
    def boot_files(self) -> BootFiles:
        """Return the boot files, read once for all formats that declare them."""
        return BootFiles(self.images[BOOTLOADERS], self.store)

    @property
    def filesystem_tools(self) -> FilesystemTools:
        """Return the programs that make filesystems: the host's, else those of an image."""
        image = self.images.get(IMAGETOOLS)
        return FilesystemTools(image, self.store, lambda: self.resolve(IMAGETOOLS))

    @cached_property
    def early_init(self) -> Mapping[str, bytes]:
        """Return the files of the init image that an early initrd is made of, by their paths."""
        image = self.resolve(EARLY_INIT)

        def name_of(path: str) -> str | None:
            return path if path in EARLY_FILES else None

        return read_image_files(image, self.store, name_of, EARLY_INIT.code).files

    @property
    def firmware(self) -> Image | None:
        """Return the image with firmware, if the user has named one."""
        return self.images.get(FIRMWARE)
