"""The protocol between output formats and what writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from assembler.formats.run_cache import RunCache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from assembler.encode import ArchiveRecordInputs, Assembly
    from assembler.formats.written_output import Output
    from assembler.helper_images import BootFiles, FilesystemTools, HelperImage, HelperImages
    from assembler.media import EnclaveSigner, PcrSigner, ReleaseKeys, Signer


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
    """The options of outputs besides their target, and the state that formats share."""

    # Of disks, in bytes; None means as small as possible.
    disk_size: int | None = None
    # The name of an image in the store; empty means Target.name.
    image_name: str = ""
    # The helper images that formats declare in their needs.
    helpers: HelperImages | None = None
    # It signs programs for UEFI.
    signer: Signer | None = None
    # They sign a verified system and its update.
    release_keys: ReleaseKeys | None = None
    # It signs enclave images.
    enclave_signer: EnclaveSigner | None = None
    # It signs policies of PCR 11 into unified kernel images.
    pcr_signer: PcrSigner | None = None
    # They describe the images of a tar in its record.
    origins: Callable[[], ArchiveRecordInputs] | None = None
    # Called before the first output is written; it may raise an error.
    before_writing: Callable[[], None] | None = None
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
    def early_init(self) -> Mapping[str, bytes]:
        """Return the files for the early initrd of a system whose init is not Dolmen's."""
        return self._resolved.early_init

    @property
    def _resolved(self) -> HelperImages:
        if self.helpers is None:
            raise ValueError("the format does not declare the helper images that it uses")
        return self.helpers


@dataclass(frozen=True, slots=True)
class Format:
    """An output format; its description and suffixes are in the registry."""

    name: str
    write: Callable[[Assembly, Target, FormatOptions], Sequence[Output]]
    needs: Needs
    # Empty means any.
    architectures: frozenset[str] = frozenset()
    # Those for which it holds a program for UEFI, which can be signed.
    signs_on: frozenset[str] = frozenset()
    # Whether it is a single stream, which may go to a chosen file or to the standard output.
    is_stream: bool = False
    # Whether it is refused without a kernel.
    needs_kernel: bool = False
    # Refuses what would not fit or boot; called for all formats of a run before any is written.
    check: Callable[[Assembly, FormatOptions], object] | None = None
