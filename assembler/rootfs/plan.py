"""The plan: an ordered list of parts, each with where it comes from and where it goes.

Everything that is written follows from a plan: a tar is all parts' entries in order, an initrd
the parts' segments joined, other filesystems the merged tree; SBOM and reports walk the same parts.

Parts made of an image are large and depend on nothing but the image, the prefix and the rules, so
encoders keep them encoded (segments). Made parts depend on the YAML; they are small and fresh.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from assembler.diagnostics import Diagnostic, Place
from assembler.oci import Descriptor, Image

# 2017-04-18 16:30:00 UTC: what LinuxKit gives to every entry it makes, and so do we.
STANDARD_TIME = 1492533000


class Kind(Enum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class Rules(Enum):
    """How an image's tree is changed on its way into the system; see docs/layout.md.

    All of them drop what container tools leave behind (.dockerenv, dev/console …), replace
    etc/hosts, and add dev, proc, sys … where the image has none. They differ in etc/resolv.conf:
    a container gets an empty file, the root filesystem and volumes a link to the one made at boot.
    """

    ROOT = "root"
    VOLUME = "volume"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """Content that is a file of this machine: read when it is written out."""

    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class StoreBlob:
    """Content that is a blob of the store, as it is there."""

    descriptor: Descriptor

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.descriptor.size


@dataclass(frozen=True, slots=True)
class Member:
    """Content that is a file in the root of an image, as the kernel in a kernel image.

    Only whoever reads the layers sees whether it is there and is a regular file:
    `members.missing` and `members.not_a_file` make the errors for that.
    """

    image: Image
    name: str
    decompress: bool = False
    # What it is wanted for ("kernel", "microcode"), and where it was asked for.
    purpose: str = field(default="", compare=False)
    place: Place | None = field(default=None, compare=False, repr=False)


Content = bytes | LocalFile | StoreBlob | Member


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or link that the assembler makes itself."""

    path: str
    kind: Kind
    # With a Member as content its mode in the image counts instead.
    mode: int
    content: Content = b""
    target: str = ""
    uid: int = 0
    gid: int = 0
    mtime: int = STANDARD_TIME
    # A leading directory: written only if nothing before it has that path.
    implied: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a part comes from, for pax records, reports and messages."""

    source: str
    location: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class ImageTree:
    """The whole content of an image below a prefix ("" or ending in a slash)."""

    origin: Origin
    image: Image
    prefix: str
    rules: Rules


@dataclass(frozen=True, slots=True)
class MemberTree:
    """The entries of a tar that is a file in the root of an image (kernel.tar), unchanged."""

    origin: Origin
    image: Image
    member: str


@dataclass(frozen=True, slots=True)
class Made:
    """Entries that the assembler makes."""

    origin: Origin
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class JoinedDatabase:
    """The package databases of several root images put one after the other, if two have one."""

    origin: Origin
    images: tuple[Image, ...]
    path: str


Part = ImageTree | MemberTree | Made | JoinedDatabase


@dataclass(frozen=True, slots=True)
class Boot:
    """What a boot loader is given: it also stands below boot/ in the tree."""

    kernel: Member
    cmdline: str
    ucode: Member | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole system, in the order in which it is written; later entries win over earlier ones."""

    architecture: str
    parts: tuple[Part, ...]
    boot: Boot | None = None
    warnings: tuple[Diagnostic, ...] = ()
