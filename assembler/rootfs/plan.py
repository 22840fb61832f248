"""The plan: an ordered list of parts, each with its origin and its prefix.

All outputs follow from a plan: a tar has the entries of all parts in order, an initrd the joined
segments of the parts, other filesystems the merged tree. SBOM and reports use the same parts.

Parts of images are large and depend only on the image, the prefix and the rules, so they are kept
encoded as segments. Generated parts depend on the YAML; they are small and encoded in every build.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING

from assembler.config import Positions

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.diagnostics import Diagnostic, Place
    from assembler.oci import Descriptor, Image

# 2017-04-18 16:30:00 UTC: the time of all generated entries, as in LinuxKit.
STANDARD_TIME = 1492533000
# Of a verified system that names none.
DEFAULT_VERSION = "1"


class EntryKind(Enum):
    """The kind of a generated entry."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class TreeRules(Enum):
    """The changes to an image's tree on its way into the system; see docs/layout.md.

    All rules drop leftovers of container tools (.dockerenv, dev/console …), replace
    etc/hosts, and add dev, proc, sys … where the image has none. They differ in etc/resolv.conf:
    a container gets an empty file, the root filesystem and volumes a link to the one made at boot.
    """

    ROOT = "root"
    VOLUME = "volume"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """Content that is a file of this machine; it is read when the output is written."""

    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class StoreBlob:
    """Content that is a blob of the store."""

    descriptor: Descriptor

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.descriptor.size


@dataclass(frozen=True, slots=True)
class ImageMember:
    """Content that is a file in the root of an image, such as the kernel in a kernel image.

    Only readers of the layers know whether it exists and is a regular file; the module
    `member_errors` has the errors for that.
    """

    image: Image
    name: str
    decompress: bool = False
    # Its purpose ("kernel", "microcode"), and the place in the YAML.
    purpose: str = field(default="", compare=False)
    place: Place | None = field(default=None, compare=False, repr=False)


EntryContent = bytes | LocalFile | StoreBlob | ImageMember


@dataclass(frozen=True, slots=True)
class GeneratedEntry:
    """A file, directory or symbolic link that the assembler generates."""

    path: str
    kind: EntryKind
    # For content of an image the mode in the image counts instead.
    mode: int
    content: EntryContent = b""
    target: str = ""
    uid: int = 0
    gid: int = 0
    mtime: int = STANDARD_TIME
    # A parent directory: written only if no earlier entry has its path.
    implied: bool = False

    def parent_directory(self, path: str) -> GeneratedEntry:
        """Return a parent directory of the entry: who may read the entry may search it."""
        if self.implied:
            return replace(self, path=path)
        mode = self.mode
        for shift in (0, 3, 6):
            if mode >> shift & 0o7:
                mode |= 0o1 << shift
        return GeneratedEntry(
            path, EntryKind.DIRECTORY, mode, uid=self.uid, gid=self.gid, implied=True
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a part, for pax records, reports and messages."""

    source: str
    location: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class ImageTree:
    """The whole tree of an image below a prefix ("" or ending in a slash)."""

    origin: Origin
    image: Image
    prefix: str
    rules: TreeRules
    # Links of earlier trees in the paths of its entries, with the paths that they lead to.
    redirects: tuple[tuple[bytes, bytes], ...] = ()
    # Links that a tar leaves out, because later parts replace them.
    replaced_links: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ArchiveTree:
    """The unchanged entries of a tar in the root of an image (kernel.tar)."""

    origin: Origin
    image: Image
    member: str


@dataclass(frozen=True, slots=True)
class GeneratedPart:
    """Generated entries."""

    origin: Origin
    entries: tuple[GeneratedEntry, ...]


@dataclass(frozen=True, slots=True)
class MergedPackageDatabase:
    """The concatenated package databases of init images, if at least two have one."""

    origin: Origin
    images: tuple[Image, ...]
    path: str


Part = ImageTree | ArchiveTree | GeneratedPart | MergedPackageDatabase


@dataclass(frozen=True, slots=True)
class BootSpec:
    """Kernel, command line and microcode for boot loaders; they are also below boot/."""

    kernel: ImageMember
    cmdline: str
    ucode: ImageMember | None = None


@dataclass(frozen=True, slots=True)
class ContainerProgram:
    """The program that a container starts, and everything that decides whether it exists."""

    container: str
    image: str
    # The prefix of the image's tree.
    tree: str
    program: str
    # The directories of PATH, and the working directory.
    search: tuple[str, ...]
    directory: str
    # Destinations of mounts, which may supply programs.
    mounted: tuple[str, ...]
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class DataSpec:
    """A partition for data."""

    label: str
    type: str
    # ext4, xfs, vfat or swap; empty for a partition that the machine encrypts and formats.
    filesystem: str
    # None for the rest of the disk.
    size: int | None
    grows: bool = False
    # The content of its volume; None without one.
    content: tuple[Part, ...] | None = None
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """The sizes of a disk as far as they are given, in bytes."""

    size: int | None = None
    esp: int | None = None
    root: int | None = None
    hash: int | None = None
    growth: Fraction = Fraction(2)
    data: tuple[DataSpec, ...] = ()
    positions: Positions = field(default_factory=Positions, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class VerifiedSystem:
    """What `verified` and `disk` say."""

    version: str = DEFAULT_VERSION
    # squashfs or erofs.
    filesystem: str = "squashfs"
    # fallback, restart or panic.
    on_corruption: str = "fallback"
    # Words of the kernel's command line about the health of the system.
    healthy: tuple[str, ...] = ()
    disk: DiskSpec = field(default_factory=DiskSpec)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole system in output order; later entries win over earlier ones."""

    architecture: str
    parts: tuple[Part, ...]
    boot: BootSpec | None = None
    warnings: tuple[Diagnostic, ...] = ()
    programs: tuple[ContainerProgram, ...] = ()
    # The places of the whole YAML file and of its section `init`.
    place: Place | None = field(default=None, compare=False, repr=False)
    init_place: Place | None = field(default=None, compare=False, repr=False)
    # None for a system that nothing verifies.
    verified: VerifiedSystem | None = None


def leading_directories(path: str) -> tuple[GeneratedEntry, ...]:
    """Return `path` and its parents as directories that are written only if missing."""
    parts = path.split("/")
    paths = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    return tuple(GeneratedEntry(p, EntryKind.DIRECTORY, 0o755, implied=True) for p in paths)
