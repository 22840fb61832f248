"""Programs that machines boot by: the files of the image of the package `bootloaders`."""

from __future__ import annotations

from posixpath import basename, dirname
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.oci import taken

if TYPE_CHECKING:
    from assembler.oci import Image, Store

# Where in the image the files of each sort lie.
_LOADER_KINDS = {
    "usr/lib/systemd/boot/efi": "systemd",
    "usr/lib/ISOLINUX": "syslinux",
    "usr/lib/SYSLINUX": "syslinux",
    "usr/lib/syslinux/mbr": "syslinux",
    "usr/lib/syslinux/modules/bios": "syslinux",
    "usr/bin": "syslinux",
}


class BootFiles:
    """The files of an image, by sort and name: `systemd/linuxx64.efi.stub`."""

    def __init__(self, image: Image, store: Store) -> None:
        """Read nothing yet."""
        self.image = image
        self._store = store
        self._files: dict[str, bytes] | None = None

    def read(self, name: str) -> bytes:
        """Return a file; an image without it is an error."""
        files = self._all()
        if name not in files:
            sort = dirname(name)
            has = sorted(n for n in files if dirname(n) == sort)
            raise OutputError.of(
                codes.NO_BOOT_ASSET,
                f"{self.image.reference} has no {basename(name)} for the boot by {sort}",
                f"it has {', '.join(map(basename, has))}" if has else f"it has nothing of {sort}",
                "leave out --bootloaders, or name an image that has the files of pkg/bootloaders",
            )
        return files[name]

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return name in self._all()

    def names(self) -> list[str]:
        """Return the names of all files."""
        return sorted(self._all())

    def _all(self) -> dict[str, bytes]:
        if self._files is None:
            found = taken(self.image, self._store, _short_name, codes.NO_BOOT_ASSET)
            self._files = found.files
        return self._files


def _short_name(path: str) -> str | None:
    sort = _LOADER_KINDS.get(dirname(path))
    return f"{sort}/{basename(path)}" if sort else None
