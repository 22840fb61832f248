"""What every output format says of itself and is given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from assembler.errors import wrap_os_errors

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly
    from assembler.encode.record import Origins
    from assembler.helper_images.boot_files import BootFiles
    from assembler.helper_images.catalog import HelperImage
    from assembler.helper_images.filesystem_tools import FilesystemTools
    from assembler.helper_images.images import HelperImages
    from assembler.media.authenticode import Signer

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Needs:
    """What of an assembly a format uses: made for all formats of a run before any is written."""

    tree: bool = False
    initrd: bool = False
    boot: bool = False
    # Helper images that it takes boot files or firmware from.
    helpers: frozenset[HelperImage] = frozenset()
    # Programs that make filesystems; an image is needed only for those that this machine lacks.
    programs: frozenset[str] = frozenset()

    def __or__(self, other: Needs) -> Needs:
        """Return the needs of two formats."""
        return Needs(
            self.tree or other.tree,
            self.initrd or other.initrd,
            self.boot or other.boot,
            self.helpers | other.helpers,
            self.programs | other.programs,
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
    # The helper images that formats declare in their needs.
    helpers: HelperImages | None = None
    # What programs for UEFI are signed with.
    signer: Signer | None = None
    # What a tar says of the images that it was made of.
    origins: Callable[[], Origins] | None = None
    # What the formats of one run have made and use together.
    shared: dict[str, object] = field(default_factory=dict)

    @property
    def boot_files(self) -> BootFiles:
        """Return the files of boot loaders; a format that uses them declares BOOTLOADERS."""
        return self._resolved.boot_files

    @property
    def filesystem_tools(self) -> FilesystemTools:
        """Return the programs that make filesystems; a format that uses them declares which."""
        return self._resolved.filesystem_tools

    @property
    def _resolved(self) -> HelperImages:
        if self.helpers is None:
            raise ValueError("the format does not declare the helper images that it uses")
        return self.helpers


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

    @property
    def sha256(self) -> str:
        """Return the hash of the output in hexadecimal; a file is read if it is not known yet."""
        return self.with_digest().digest.removeprefix("sha256:")

    def as_json(self) -> dict[str, Any]:
        """Return the output for scripts."""
        return {
            "format": self.format,
            "role": self.role,
            "path": str(self.path) if self.path else None,
            "reference": self.reference or None,
            "size": self.size,
            "digest": self.digest or None,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Output:
        """Return the output that `as_json` has described."""
        path = Path(kept["path"]) if kept["path"] else None
        return cls(
            kept["format"],
            kept["role"],
            kept["size"],
            path,
            kept["reference"] or "",
            kept["digest"] or "",
        )

    def with_digest(self) -> Output:
        """Return the same with a digest, reading the file if it has to be."""
        if self.digest or self.path is None:
            return self
        return Output(
            self.format, self.role, self.size, self.path, self.reference, file_digest(self.path)
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


def file_digest(path: Path) -> str:
    """Return the digest of a file."""
    hasher = hashlib.sha256()
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        while data := file.read(_CHUNK):
            hasher.update(data)
    return "sha256:" + hasher.hexdigest()
