"""Writing newc cpio archives, the format of initrds, with hard links as the kernel creates them.

The kernel links a regular file to an earlier one if both have the same inode number and more than
one link each; the first one has the content. A tar archive does not announce hard links, so the
encoder holds output back for a while, and changes a header in it when a link to it comes. A link
to an entry further back sets `needs_retry`: then encode the part again with a new encoder that
gets the `hard_links` of the first one.

newc has no room for extended attributes, fractions of seconds and times beyond 32 bits: they are
left out, and times become the nearest one. Files of 4 GiB and more are refused.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from assembler.codes import output as codes
from assembler.encode.shared_files import SMALLEST
from assembler.errors import OutputError
from assembler.oci import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    SYMLINK,
    TarReader,
    normalize_tar_path,
)
from assembler.rootfs import EntryKind, GeneratedEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.encode.byte_sinks import Bytes
    from assembler.encode.inventory import Inventory
    from assembler.encode.shared_files import SharedFile

# Increase it when the bytes for the same input change.
VERSION = 4

HardLinks = dict[bytes, list[bytes]]

_HALF_WINDOW = 3 << 20
_MOST_PIECES = 20_000
_PADDING = (b"", b"\0", b"\0\0", b"\0\0\0")
_TYPES = {
    FILE: 0o100000,
    DIRECTORY: 0o040000,
    SYMLINK: 0o120000,
    CHARACTER_DEVICE: 0o020000,
    BLOCK_DEVICE: 0o060000,
    FIFO: 0o010000,
}
_KINDS = {EntryKind.FILE: FILE, EntryKind.DIRECTORY: DIRECTORY, EntryKind.SYMLINK: SYMLINK}
_LARGEST = 0xFFFFFFFF
_LONGEST_PATH = 4095
_MOST_REMEMBERED = 4096
_NO_DEVICE = b"0" * 16
# Where fields are in a header.
_INODE, _IDS, _LINKS, _TIME = slice(6, 14), slice(14, 38), slice(38, 46), slice(46, 54)


class BatchSink(Protocol):
    """A sink that takes many pieces at once."""

    def put_all(self, pieces: list[Bytes]) -> None:
        """Write all pieces."""


class NewcEncoder:
    """Write the entries of one part as an archive, or as a piece of one."""

    def __init__(
        self,
        output: BatchSink,
        prefix: str,
        inventory: Inventory,
        what: str,
        known_links: HardLinks | None = None,
        device: bytes = _NO_DEVICE,
        shared: Mapping[bytes, SharedFile] | None = None,
    ) -> None:
        """Write below `prefix`, which is empty or ends in a slash; `what` names it in errors.

        `device`, 16 digits, tells its inodes from those of other pieces of the archive; `shared`
        files, by their paths, have the same inode in several pieces.
        """
        self._shared = shared or {}
        # The identities of large files, by their paths.
        self._large: dict[bytes, str] = {}
        self._output = output
        self._device = device
        self._prefix = prefix.encode("utf-8", "surrogateescape")
        self._inventory = inventory
        self._archive_name = what
        # By the name of a file: the names of its hard links.
        self.hard_links: HardLinks = {}
        self.needs_retry = False
        self._known_links = known_links or {}
        self._inode = 0
        # By the name of a link: the name of its file.
        self._originals: dict[bytes, bytes] = {}
        # Files that will get links, and other entries: how to write them again.
        self._headers: dict[bytes, bytes] = {}
        self._copies: dict[bytes, tuple[bytes, bytes, bytes, bytes]] = {}
        # Pieces that are held back, in two halves, and the positions of file headers in them.
        self._old: list[Bytes] = []
        self._new: list[Bytes] = []
        self._old_files: dict[bytes, int] = {}
        self._new_files: dict[bytes, int] = {}
        self._pending = 0
        self._ids: dict[tuple[int, int, int, int], bytes] = {}
        self._time, self._time_text = -1, b"00000000"

    @property
    def is_empty(self) -> bool:
        """Tell whether the archive is empty."""
        return self._inode == 0

    def add(self, name: bytes, reader: TarReader) -> None:
        """Write the reader's current entry with its content."""
        name = self._prefix + name
        kind = reader.kind
        mtime = reader.mtime
        if mtime != self._time:
            self._time, self._time_text = mtime, b"%08X" % min(max(mtime, 0), _LARGEST)
        try:
            ids = self._ids[kind, reader.mode, reader.uid, reader.gid]
        except KeyError:
            ids = self._new_ids(kind, reader.mode, reader.uid, reader.gid)
        if is_boot(name):
            others = self._known_links.get(name)
            if not others or kind != FILE:
                return
            # Only its links remain: the first one becomes the file.
            self._originals[others[0]] = others[0]
            self._known_links[others[0]] = others[1:]
            self._originals[name] = name = others[0]
        self._inventory.note(name, reader)
        if kind != FILE:
            device = _NO_DEVICE
            if kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
                device = b"%08X%08X" % (reader.major, reader.minor)
            if name in self._known_links:
                self._copies[name] = (ids, self._time_text, reader.link, device)
            self._write_special(name, ids, self._time_text, reader.link, device)
            return
        size = reader.size
        if (shared := self._shared.get(name)) is not None:
            self._write_shared_header(name, ids, shared, size)
            if not shared.has_content:
                return
        else:
            self._write_file_header(name, ids, self._time_text, size)
        if size and not self.needs_retry:
            if size >= SMALLEST:
                self._write_large(name, ids + self._time_text, reader)
            else:
                reader.write_to(self._write)
            if size & 3:
                self._new.append(_PADDING[-size & 3])

    @property
    def large_files(self) -> dict[str, str]:
        """Return the identities of large files without hard links, by path."""
        linked = self.hard_links.keys() | self._known_links.keys()
        return {
            name.decode("utf-8", "surrogateescape"): identity
            for name, identity in self._large.items()
            if name not in linked and name not in self._originals
        }

    def _write_large(self, name: bytes, attributes: bytes, reader: TarReader) -> None:
        """Write the content of a large file, and note its hash."""
        digest = hashlib.sha256(attributes)

        def put(data: Bytes) -> None:
            digest.update(data)
            self._write(data)

        reader.write_to(put)
        self._large[name] = digest.hexdigest()

    def _write_shared_header(self, name: bytes, ids: bytes, shared: SharedFile, size: int) -> None:
        """Write the header of a file with the inode that it has in all pieces."""
        self._inventory.note_parents(name, is_directory=False)
        self._inode += 1
        head = b"070701%08X%b%08X%b%08X%b0000000000000000%08X00000000%b\0" % (
            shared.inode,
            ids,
            shared.links,
            self._time_text,
            size if shared.has_content else 0,
            shared.device,
            len(name) + 1,
            name,
        )
        self._write(head + _PADDING[-len(head) & 3])

    def _write_file_header(self, name: bytes, ids: bytes, time: bytes, size: int) -> None:
        """Write the header of a regular file."""
        if size > _LARGEST:
            raise OutputError.of(
                codes.TOO_LARGE,
                f"{self._archive_name}: {_text(name)} is {size / (1 << 30):.1f} GiB; "
                "files in an initrd must be smaller than 4 GiB",
                "put the file on a disk, or choose a format with a filesystem that holds it "
                "(kernel+squashfs, kernel+erofs)",
            )
        self._inventory.note_parents(name, is_directory=False)
        self._inode += 1
        links = 1 + len(self._known_links[name]) if name in self._known_links else 1
        # The magic, then: inode, mode and owner, links, time, size, device (twice),
        # special device (twice), length of the name, checksum, and the name itself.
        head = b"070701%08X%b%08X%b%08X%b0000000000000000%08X00000000%b\0" % (
            self._inode,
            ids,
            links,
            time,
            size,
            self._device,
            len(name) + 1,
            name,
        )
        if links > 1:
            self._headers[name] = head
        self._new_files[name] = len(self._new)
        length = len(head)
        self._write(head + _PADDING[-length & 3] if length & 3 else head)

    def _write_special(
        self, name: bytes, ids: bytes, time: bytes, data: bytes, device: bytes = _NO_DEVICE
    ) -> None:
        """Write an entry that is not a regular file."""
        if max(len(name), len(data)) > _LONGEST_PATH:
            raise OutputError.of(
                codes.TOO_LARGE,
                f"{self._archive_name}: the path {_text(name)[:60]}… is longer than the kernel "
                "accepts",
            )
        is_directory = ids[:5] == b"00004"
        self._inventory.note_parents(name, is_directory=is_directory)
        self._inode += 1
        links = 2 if is_directory else 1
        self._write(_entry(self._inode, ids, links, time, name, data, self._device, device))

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:  # noqa: ARG002
        """Write a hard link to an earlier entry, with the attributes of that entry."""
        name, target = self._prefix + name, self._prefix + target
        if is_boot(name) or self._originals.get(name) == name:
            return
        self._inventory.programs.append(name)
        original = self._originals.get(target, target)
        self._originals[name] = original
        links = self.hard_links.setdefault(original, [])
        links.append(name)
        if self.needs_retry:
            return
        if original in self._copies:
            self._write_special(name, *self._copies[original])
            return
        head = self._headers.get(original) or self._patch_link_count(original, len(links) + 1)
        if head is None:
            self.needs_retry = True
            return
        self._inventory.note_parents(name, is_directory=False)
        inode, count = int(head[_INODE], 16), int(head[_LINKS], 16)
        self._write(_entry(inode, head[_IDS], count, head[_TIME], name, b"", self._device))

    def _patch_link_count(self, name: bytes, links: int) -> bytes | None:
        """Change the link count in a header that is held back; return the header."""
        pieces, at = self._new, self._new_files.get(name)
        if at is None:
            pieces, at = self._old, self._old_files.get(name)
        if at is None:
            return None
        head = bytes(pieces[at])
        pieces[at] = head = head[: _LINKS.start] + b"%08X" % links + head[_LINKS.stop :]
        return head

    def add_generated(self, entry: GeneratedEntry, size: int) -> None:
        """Write the header of a generated entry; `put` then writes its content."""
        name = self._prefix + entry.path.encode("utf-8", "surrogateescape")
        kind = _KINDS[entry.kind]
        target = entry.target.encode("utf-8", "surrogateescape")
        self._inventory.note_made(name, entry.kind, target)
        ids = self._new_ids(kind, entry.mode & 0o7777, entry.uid, entry.gid)
        time = b"%08X" % min(max(entry.mtime, 0), _LARGEST)
        if kind == FILE:
            self._write_file_header(name, ids, time, size)
        else:
            self._write_special(name, ids, time, target)

    def put(self, data: Bytes) -> None:
        """Write a piece of the content of a generated entry."""
        self._write(data)

    def pad(self, size: int) -> None:
        """Pad content of `size` bytes."""
        self._write(_PADDING[-size & 3])

    def finish(self, *, trailer: bool) -> None:
        """Write everything that was held back, and the trailer if the archive ends here."""
        if trailer:
            self._new.append(TRAILER)
        self._rotate()
        self._rotate()

    def _new_ids(self, kind: int, mode: int, uid: int, gid: int) -> bytes:
        ids = b"%08X%08X%08X" % (_TYPES[kind] | mode, uid, gid)
        if len(self._ids) < _MOST_REMEMBERED:
            self._ids[kind, mode, uid, gid] = ids
        return ids

    def _write(self, data: Bytes) -> None:
        self._new.append(data)
        self._pending += len(data)
        if self._pending > _HALF_WINDOW or len(self._new) > _MOST_PIECES:
            self._rotate()

    def _rotate(self) -> None:
        """Write the older half, and make the newer half the older one."""
        if not self.needs_retry:
            self._output.put_all(self._old)
        self._old, self._new = self._new, []
        self._old_files, self._new_files = self._new_files, {}
        self._pending = 0


def is_boot(name: bytes) -> bool:
    """Tell whether a path is below boot/, whose files are for boot loaders."""
    if name[:5] == b"boot/":
        return True
    return name[:1] in (b".", b"/") and normalize_tar_path(name)[:5] == b"boot/"


def _entry(
    inode: int,
    ids: bytes,
    links: int,
    time: bytes,
    name: bytes,
    data: bytes = b"",
    device: bytes = _NO_DEVICE,
    special: bytes = _NO_DEVICE,
) -> bytes:
    head = b"070701%08X%b%08X%b%08X%b%b%08X00000000%b\0" % (
        inode,
        ids,
        links,
        time,
        len(data),
        device,
        special,
        len(name) + 1,
        name,
    )
    return head + _PADDING[-len(head) & 3] + data + _PADDING[-len(data) & 3]


TRAILER = _entry(0, b"0" * 24, 1, b"0" * 8, b"TRAILER!!!")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
