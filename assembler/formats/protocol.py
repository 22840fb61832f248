"""What every output format says of itself and is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from assembler.errors import wrap_os_errors

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly
    from assembler.encode.record import Origins
    from assembler.helper_images.boot_files import BootAssets
    from assembler.helper_images.programs import Programs
    from assembler.media.authenticode import Signer
    from assembler.oci.image import Image
    from assembler.oci.store import Store

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Needs:
    """What of an assembly a format uses: made for all formats of a run before any is written."""

    tree: bool = False
    initrd: bool = False
    boot: bool = False
    # Programs that machines boot by (`FormatOptions.assets`).
    assets: bool = False
    # Programs that make filesystems (`FormatOptions.programs`).
    programs: frozenset[str] = frozenset()
    # Firmware that the user brings (`FormatOptions.firmware`).
    firmware: bool = False

    def __or__(self, other: Needs) -> Needs:
        """Return the needs of two formats."""
        return Needs(
            self.tree or other.tree,
            self.initrd or other.initrd,
            self.boot or other.boot,
            self.assets or other.assets,
            self.programs | other.programs,
            self.firmware or other.firmware,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where outputs go: NAME and a suffix in a directory, or one file or stream as a whole."""

    directory: Path
    name: str
    output: Path | IO[bytes] | None = None

    def path(self, suffix: str) -> Path:
        """Return where an output goes that is not sent elsewhere."""
        return self.directory / (self.name + suffix)


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """What the user may say about outputs, beyond their place."""

    # Of disks, in bytes, if the user has asked for a size.
    disk_size: int | None = None
    # What the system is called as an image in the store, if not as Target.name.
    image_name: str = ""
    # There if a format says that it needs them.
    assets: BootAssets | None = None
    # There if a format says that it needs some.
    programs: Programs | None = None
    # The image with firmware that the user has named, and the store it is in.
    firmware: tuple[Image, Store] | None = None
    # What programs for UEFI are signed with.
    signer: Signer | None = None
    # What a tar says of the images that it was made of.
    origins: Callable[[], Origins] | None = None
    # What the formats of one run have made and use together.
    shared: dict[str, object] = field(default_factory=dict)

    @property
    def boot_assets(self) -> BootAssets:
        """Return the boot assets; a format that uses them has said so in its needs."""
        if self.assets is None:
            raise ValueError("the format does not say that it needs boot assets")
        return self.assets

    @property
    def filesystem_programs(self) -> Programs:
        """Return where programs come from; a format that uses them has said so in its needs."""
        if self.programs is None:
            raise ValueError("the format does not say that it needs programs")
        return self.programs


@dataclass(frozen=True, slots=True)
class Output:
    """Something that was written: a file, a stream or an image of the store."""

    format: str
    role: str
    size: int
    path: Path | None = None
    # The full name of an image in the store.
    reference: str = ""
    # Known only where it had to be computed; `digest_of` computes it for files.
    digest: str = ""

    def with_digest(self) -> Output:
        """Return the same with a digest, reading the file if it has to be."""
        if self.digest or self.path is None:
            return self
        return Output(
            self.format, self.role, self.size, self.path, self.reference, digest_of(self.path)
        )


@dataclass(frozen=True, slots=True)
class Format:
    """An output format."""

    name: str
    description: str
    # What NAME is followed by in the names of the outputs, and what the outputs are.
    suffixes: dict[str, str]
    write: Callable[[Assembly, Target, FormatOptions], Sequence[Output]]
    needs: Needs
    # Architectures it is for; none means any.
    architectures: frozenset[str] = frozenset()
    # Programs it runs, by their names in `assembler.tools`.
    tools: tuple[str, ...] = ()
    # Whether it is a single stream, which may go to a chosen file or to standard output.
    is_stream: bool = False
    # Whether there is nothing to write without a kernel.
    needs_kernel: bool = False
    aliases: tuple[str, ...] = field(default=())
    # Refuses what would not fit or boot; for all formats of a run before any is written.
    check: Callable[[Assembly, FormatOptions], object] | None = None


def digest_of(path: Path) -> str:
    """Return the digest of a file."""
    hasher = hashlib.sha256()
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        while data := file.read(_CHUNK):
            hasher.update(data)
    return "sha256:" + hasher.hexdigest()
