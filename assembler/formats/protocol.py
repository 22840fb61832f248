"""The protocol between output formats and what writes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from assembler.errors import wrap_os_errors
from assembler.formats.run_cache import RunCache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from assembler.encode.assembly import Assembly
    from assembler.encode.build_record import BuildRecordInputs
    from assembler.helper_images.boot_files import BootFiles
    from assembler.helper_images.catalog import HelperImage
    from assembler.helper_images.filesystem_tools import FilesystemTools
    from assembler.helper_images.images import HelperImages
    from assembler.media.authenticode import Signer

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Needs:
    """The parts of an assembly that a format uses: made for all formats of a run beforehand."""

    tree: bool = False
    initrd: bool = False
    boot: bool = False
    # The helper images with its boot files or firmware.
    helpers: frozenset[HelperImage] = frozenset()
    # Programs that make filesystems; an image is resolved only for those that the host lacks.
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
    """Where outputs go: NAME and a suffix in a directory, or a single file or stream."""

    directory: Path
    name: str
    output: Path | IO[bytes] | None = None

    def path(self, suffix: str) -> Path:
        """Return the path of an output in the directory."""
        return self.directory / (self.name + suffix)


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """What a user chooses about outputs besides their target, and what formats share."""

    # Of disks, in bytes; None means as small as possible.
    disk_size: int | None = None
    # The name of an image in the store; empty means Target.name.
    image_name: str = ""
    # The helper images that formats declare in their needs.
    helpers: HelperImages | None = None
    # It signs programs for UEFI.
    signer: Signer | None = None
    # They describe the images of a tar in its record.
    origins: Callable[[], BuildRecordInputs] | None = None
    cache: RunCache = field(default_factory=RunCache)

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
    """A file, a stream or an image of the store that was written."""

    format: str
    role: str
    size: int
    path: Path | None = None
    # The full name of an image in the store.
    reference: str = ""
    # Empty until it is computed: `with_digest` does it for files.
    digest: str = ""

    @property
    def sha256(self) -> str:
        """Return the hash of the output in hexadecimal; a file is read if need be."""
        return self.with_digest().digest.removeprefix("sha256:")

    def as_json(self) -> dict[str, Any]:
        """Return the output as JSON."""
        return {
            "format": self.format,
            "role": self.role,
            "path": str(self.path) if self.path else None,
            "reference": self.reference or None,
            "size": self.size,
            "digest": self.digest or None,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Output:
        """Return the output that JSON of `as_json` describes."""
        path = Path(document["path"]) if document["path"] else None
        return cls(
            document["format"],
            document["role"],
            document["size"],
            path,
            document["reference"] or "",
            document["digest"] or "",
        )

    def with_digest(self) -> Output:
        """Return the output with its digest; a file is read if need be."""
        if self.digest or self.path is None:
            return self
        return Output(
            self.format, self.role, self.size, self.path, self.reference, file_digest(self.path)
        )


@dataclass(frozen=True, slots=True)
class Format:
    """An output format; its description and suffixes are in the registry."""

    name: str
    write: Callable[[Assembly, Target, FormatOptions], Sequence[Output]]
    needs: Needs
    # Empty means any.
    architectures: frozenset[str] = frozenset()
    # Whether it is a single stream, which may go to a chosen file or to the standard output.
    is_stream: bool = False
    # Whether it is refused without a kernel.
    needs_kernel: bool = False
    # Refuses what would not fit or boot; called for all formats of a run before any is written.
    check: Callable[[Assembly, FormatOptions], object] | None = None


def file_digest(path: Path) -> str:
    """Return the digest of a file."""
    hasher = hashlib.sha256()
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        while data := file.read(_CHUNK):
            hasher.update(data)
    return "sha256:" + hasher.hexdigest()
