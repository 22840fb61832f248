"""Programs that machines boot by: the files of the image of the package `bootloaders`."""

from __future__ import annotations

from functools import partial
from posixpath import basename, dirname
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.oci.layers import FILE, Layer, flatten

if TYPE_CHECKING:
    from assembler.oci.image import Image
    from assembler.oci.layers import TarReader
    from assembler.oci.store import Store

# Where in the image the files of each sort lie.
_FOLDERS = {
    "usr/lib/systemd/boot/efi": "systemd",
    "usr/lib/ISOLINUX": "syslinux",
    "usr/lib/SYSLINUX": "syslinux",
    "usr/lib/syslinux/mbr": "syslinux",
    "usr/lib/syslinux/modules/bios": "syslinux",
    "usr/bin": "syslinux",
}
_LARGEST = 16 << 20
_MOST = 64 << 20


class BootAssets:
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
            what = str(self.image.reference)
            layers = [
                Layer(d.digest, d.size, partial(self._store.open, d, what))
                for d in self.image.manifest.layers
            ]
            sink = _Taker(what)
            flatten(what, layers, sink)
            self._files = sink.files
        return self._files


class _Taker:
    """Takes the files of the folders, and the names that links give them."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.restart()

    def restart(self) -> None:
        self.files: dict[str, bytes] = {}
        self._paths: dict[bytes, str] = {}
        self._taken = 0

    def add(self, name: bytes, reader: TarReader) -> None:
        known = _known_as(name)
        if reader.kind != FILE or known is None:
            return
        self._taken += reader.size
        if reader.size > _LARGEST or self._taken > _MOST:
            raise OutputError.of(
                codes.NO_BOOT_ASSET,
                f"{self._what}: {name.decode(errors='replace')} is too large for a boot loader",
            )
        self.files[known] = bytes(reader.read(_LARGEST))
        self._paths[name] = known

    def link(self, name: bytes, target: bytes, _reader: TarReader) -> None:
        known = _known_as(name)
        if known is not None and target in self._paths:
            self.files[known] = self.files[self._paths[target]]


def _known_as(path: bytes) -> str | None:
    text = path.decode("utf-8", "replace")
    sort = _FOLDERS.get(dirname(text))
    return f"{sort}/{basename(text)}" if sort else None
