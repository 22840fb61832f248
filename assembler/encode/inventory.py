"""The entries of a segment that matter to the parts after it.

It lists directories and symbolic links: implied directories are left out where one of them exists,
and missing parent directories are created where none does.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field

from assembler.oci import DIRECTORY, SYMLINK, TarReader
from assembler.rootfs import EntryKind

_CAPABILITY = b"SCHILY.xattr.security.capability"
_XATTR = b"SCHILY.xattr."
_MOST_NAMED = 5


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

    def note(self, name: bytes, reader: TarReader) -> None:
        """Note an entry of an image."""
        if reader.kind == DIRECTORY:
            self.directories.append(name)
        elif reader.kind == SYMLINK:
            self.symlinks.append(name)
        if reader.records:
            if _CAPABILITY in reader.records:
                self.capable_count += 1
                if len(self.capable) < _MOST_NAMED:
                    self.capable.append(name)
            self.xattr_count += any(k.startswith(_XATTR) for k in reader.records)

    def note_made(self, name: bytes, kind: EntryKind) -> None:
        """Note a generated entry."""
        if kind is EntryKind.DIRECTORY:
            self.directories.append(name)
        elif kind is EntryKind.SYMLINK:
            self.symlinks.append(name)

    def clear(self) -> None:
        """Remove all entries."""
        self.directories.clear()
        self.symlinks.clear()
        self.late_directories.clear()
        self.capable.clear()
        self.capable_count = self.xattr_count = 0

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
