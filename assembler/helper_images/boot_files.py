"""Boot files: the files of the image `bootloaders`, by kind and name."""

from __future__ import annotations

from posixpath import basename, dirname
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.oci import read_image_files

if TYPE_CHECKING:
    from assembler.oci import Image, Store

# The folders of the image, and the kind of the files in each.
_LOADER_KINDS = {
    "usr/lib/systemd/boot/efi": "systemd",
    "usr/lib/ISOLINUX": "syslinux",
    "usr/lib/SYSLINUX": "syslinux",
    "usr/lib/syslinux/mbr": "syslinux",
    "usr/lib/syslinux/modules/bios": "syslinux",
    "usr/bin": "syslinux",
}


class BootFiles:
    """The files of an image, by kind and name: `systemd/linuxx64.efi.stub`."""

    def __init__(self, image: Image, store: Store) -> None:
        """Remember the image; it is read when the first file is requested."""
        self.image = image
        self._store = store
        self._files: dict[str, bytes] | None = None

    def read(self, name: str) -> bytes:
        """Return the content of a file; an image without it is an error."""
        files = self._read_all()
        if name not in files:
            kind = dirname(name)
            has = sorted(n for n in files if dirname(n) == kind)
            raise OutputError.of(
                codes.NO_BOOT_ASSET,
                f"{self.image.reference} has no {basename(name)}, which booting by {kind} needs",
                f"it has {', '.join(map(basename, has))}" if has else f"it has no files of {kind}",
                "leave out --bootloaders, or name an image that has the files of pkg/bootloaders",
            )
        return files[name]

    def _read_all(self) -> dict[str, bytes]:
        if self._files is None:
            found = read_image_files(self.image, self._store, _short_name, codes.NO_BOOT_ASSET)
            self._files = found.files
        return self._files


def _short_name(path: str) -> str | None:
    kind = _LOADER_KINDS.get(dirname(path))
    return f"{kind}/{basename(path)}" if kind else None
