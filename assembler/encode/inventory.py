"""The entries of a segment that matter to the parts after it, and to checks of the system.

It lists directories and symbolic links: implied directories are left out where one of them exists,
and missing parent directories are created where none does. The index has the rest: targets of
links and the names of files, which few builds need, so they are packed separately.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.diagnostics import Diagnostic, Severity
from assembler.oci import DIRECTORY, FILE, HARD_LINK, SYMLINK, TarReader, normalize_tar_path
from assembler.rootfs import EntryKind

if TYPE_CHECKING:
    from collections.abc import Sequence

_CAPABILITY = b"SCHILY.xattr.security.capability"
_XATTR = b"SCHILY.xattr."
_MOST_NAMED = 5
# The captured contents that make up the index; no captured path begins with a slash.
LINK_TARGETS, PROGRAMS, FILES = INDEX = "/link targets", "/programs", "/files"


@dataclass(slots=True)
class Inventory:
    """The entries of a segment that matter to other parts; paths include the prefix."""

    directories: list[bytes] = field(default_factory=list)
    symlinks: list[bytes] = field(default_factory=list)
    # Directories with entries that come before the directory itself, or without it.
    late_directories: list[bytes] = field(default_factory=list)
    # Files with capabilities, the first few by name; entries with extended attributes.
    capable: list[bytes] = field(default_factory=list)
    capable_count: int = 0
    xattr_count: int = 0
    # Only while a segment is written: the targets of the links, in their order; files that can be
    # executed, hard links included, as their headers need not have the mode; everything else.
    targets: list[bytes] = field(default_factory=list)
    programs: list[bytes] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    _known_directories: set[bytes] = field(default_factory=set)
    _parent: bytes = b""

    def note(self, name: bytes, reader: TarReader) -> None:
        """Note an entry of an image."""
        kind = reader.kind
        if kind == DIRECTORY:
            self.directories.append(name)
        elif kind == SYMLINK:
            self.symlinks.append(name)
            self.targets.append(reader.link)
        elif kind == HARD_LINK or (kind == FILE and reader.mode & 0o111):
            self.programs.append(name)
        else:
            self.files.append(name)
        if reader.records:
            if _CAPABILITY in reader.records:
                self.capable_count += 1
                if len(self.capable) < _MOST_NAMED:
                    self.capable.append(name)
            self.xattr_count += any(k.startswith(_XATTR) for k in reader.records)

    def note_made(self, name: bytes, kind: EntryKind, target: bytes = b"") -> None:
        """Note a generated entry."""
        if kind is EntryKind.DIRECTORY:
            self.directories.append(name)
        elif kind is EntryKind.SYMLINK:
            self.symlinks.append(name)
            self.targets.append(target)
        else:
            self.files.append(name)

    def note_parents(self, name: bytes, *, is_directory: bool) -> None:
        """Note the parent directories of an entry that were not written before it."""
        if is_directory:
            self._known_directories.add(normalize_tar_path(name))
        parent = name[: max(name.rfind(b"/"), 0)]
        if parent == self._parent:
            return
        self._parent = parent
        if parent[:1] == b".":
            parent = normalize_tar_path(parent)
        missing = []
        while parent and parent not in self._known_directories:
            self._known_directories.add(parent)
            missing.append(parent)
            parent = parent[: max(parent.rfind(b"/"), 0)]
        self.late_directories += reversed(missing)

    def clear(self) -> None:
        """Remove all entries."""
        self.directories.clear()
        self.symlinks.clear()
        self.late_directories.clear()
        self.capable.clear()
        self.capable_count = self.xattr_count = 0
        self.targets.clear()
        self.programs.clear()
        self.files.clear()
        self._known_directories.clear()
        self._parent = b""

    def pack(self) -> bytes:
        """Return the compressed form that the segment stores."""
        lists = (self.directories, self.symlinks, self.late_directories, self.capable)
        head = json.dumps(
            {
                "lists": [len(x) for x in lists],
                "capable": self.capable_count,
                "xattrs": self.xattr_count,
            }
        )
        paths = b"\0".join(path for one in lists for path in one)
        return zlib.compress(head.encode() + b"\0" + paths, 1)

    def pack_index(self) -> dict[str, bytes]:
        """Return the compressed lists of the index, by their names."""
        lists = zip(INDEX, (self.targets, self.programs, self.files), strict=True)
        return {name: zlib.compress(b"\0".join(names), 1) for name, names in lists}

    @classmethod
    def unpack(cls, data: bytes) -> Inventory:
        """Read the output of `pack`; raise ValueError for anything else."""
        try:
            head, _, rest = zlib.decompress(data).partition(b"\0")
        except zlib.error as error:
            raise ValueError(str(error)) from error
        doc = json.loads(head)
        paths = rest.split(b"\0") if rest else []
        lists = []
        for count in doc["lists"]:
            lists.append(paths[:count])
            paths = paths[count:]
        directories, symlinks, late, capable = lists
        return cls(directories, symlinks, late, capable, doc["capable"], doc["xattrs"])


def lost_capabilities(inventories: Sequence[Inventory]) -> Diagnostic | None:
    """Return the warning for an initrd, which has no file capabilities."""
    count = sum(i.capable_count for i in inventories)
    if not count:
        return None
    names = [n.decode("utf-8", "replace") for i in inventories for n in i.capable][:3]
    more = f" and {count - len(names)} more" if count > len(names) else ""
    return Diagnostic(
        codes.LOST_ATTRIBUTES,
        f"file capabilities are lost in the initrd: {', '.join(names)}{more}",
        hints=("formats with a filesystem (kernel+squashfs, kernel+erofs) keep them",),
        severity=Severity.WARNING,
    )
