"""The options of a build: one frozen type, and the same fields as keyword arguments."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypedDict

from assembler.oci import ImageSources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from assembler.packages import PackageBuildOptions

DEFAULT_SBOM = "sbom.spdx.json"
# The usual compression of initrds: zstd if the kernel is known to unpack it, else gzip.
AUTOMATIC = "auto"
# Without a name, outputs of standard input are called what LinuxKit calls them.
_STDIN_NAME = "moby"


@dataclass(frozen=True)
class SbomOptions:
    """The path of the SPDX document in the system, and the time that it states."""

    path: str = DEFAULT_SBOM
    created: int | None = None


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Everything that a caller can say about a build."""

    # Names of formats; without any, kernel+initrd, or tar if there is an `output`.
    formats: tuple[str, ...] = ()
    # The beginning of the outputs' names; by default, the name of the last YAML file.
    name: str = ""
    directory: Path = field(default_factory=Path)
    # The file or stream of a single output, instead of NAME-SUFFIX in the directory.
    output: Path | IO[bytes] | None = None
    # amd64, arm64 ...; by default, this machine's.
    architecture: str = ""
    # The compression of an initrd: CODEC or CODEC:LEVEL; auto is zstd if the kernel unpacks it.
    compression: str = AUTOMATIC
    # The size of disks in bytes; by default, what the format takes or needs.
    disk_size: int | None = None
    # Processes that encode at once.
    jobs: int = 2
    decompress_kernel: bool = False
    sources: ImageSources = field(default_factory=ImageSources)
    # How packages of `@pkg:` are built if they are missing: options, or a function that returns
    # them and is called only if there is a package to build.
    packages: PackageBuildOptions | Callable[[], PackageBuildOptions] | None = None
    build_missing: bool = True
    # Whether a YAML file from a URL may name files and packages of this machine.
    allow_local_sources: bool = False
    # The tar of an earlier build, whose parts replace images that cannot be found.
    input_tar: Path | None = None
    # None leaves the SPDX document out.
    sbom: SbomOptions | None = field(default_factory=SbomOptions)
    # Images to take instead of Dolmen's own, by the kind of helper image: bootloaders, imagetools,
    # firmware.
    helper_images: Mapping[str, str] = field(default_factory=dict)
    secure_boot_key: Path | None = None
    secure_boot_certificate: Path | None = None
    # The directory with the keys of a verified system: db.key, db.crt, update.key, and pcr.key if
    # there is one.
    keys: Path | None = None
    # They sign enclave images; the key is not encrypted.
    enclave_key: Path | None = None
    enclave_certificate: Path | None = None
    # The key that signs policies of PCR 11.
    pcr_key: Path | None = None
    # Returns the passphrase of the key, if it needs one.
    passphrase: Callable[[], str] | None = None
    # Build even if nothing has changed.
    force: bool = False
    # Warnings are errors.
    strict: bool = False
    # Remember the result, so that an unchanged build returns at once.
    remember: bool = True

    @classmethod
    def of(cls, options: BuildOptions | None, keywords: BuildKeywords) -> BuildOptions:
        """Return the options with keyword arguments over them."""
        base = options if options is not None else cls()
        if not keywords:
            return base
        return replace(base, **{name: _as_field(name, value) for name, value in keywords.items()})  # type: ignore[arg-type]

    def name_for(self, files: Sequence[str]) -> str:
        """Return the beginning of the outputs' names."""
        if self.name:
            return self.name
        last = files[-1]
        if last == "-":
            return _STDIN_NAME
        return Path(last.rstrip("/").rpartition("/")[2]).stem or "image"


class BuildKeywords(TypedDict, total=False):
    """The fields of BuildOptions as keyword arguments, in the types that are easy to write."""

    formats: Sequence[str]
    name: str
    directory: str | Path
    output: str | Path | IO[bytes] | None
    architecture: str
    compression: str
    disk_size: int | None
    jobs: int
    decompress_kernel: bool
    sources: ImageSources
    packages: PackageBuildOptions | Callable[[], PackageBuildOptions] | None
    build_missing: bool
    allow_local_sources: bool
    input_tar: str | Path | None
    sbom: SbomOptions | None
    helper_images: Mapping[str, str]
    secure_boot_key: str | Path | None
    secure_boot_certificate: str | Path | None
    keys: str | Path | None
    enclave_key: str | Path | None
    enclave_certificate: str | Path | None
    pcr_key: str | Path | None
    passphrase: Callable[[], str] | None
    force: bool
    strict: bool
    remember: bool


_PATHS = (
    *("directory", "output", "input_tar"),
    *("secure_boot_key", "secure_boot_certificate", "keys"),
    *("enclave_key", "enclave_certificate"),
    "pcr_key",
)


def _as_field(name: str, value: object) -> object:
    if name in _PATHS and isinstance(value, str):
        return Path(value)
    if name == "formats" and not isinstance(value, str):
        return tuple(value)  # type: ignore[arg-type]  # BuildKeywords says what it is
    return value
