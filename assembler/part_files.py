"""Part files: files under way beside their outputs, locked by their writers (flock).

Where the filesystem has files without a name (O_TMPFILE), a file gets one when it is complete.
Elsewhere, and while it replaces another, it is named `.NAME.HEX.part`. Its writer, or a process
that the writer has forked, holds its lock; the kernel releases the lock when they end, in any way.
So an unlocked part file has no writer, also if the writer was in another PID namespace.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from assembler.descriptors import NAME_ONLY, descriptor_path

if TYPE_CHECKING:
    from pathlib import Path

_PART = re.compile(r"\..*\.[0-9a-f]{12}\.part", re.DOTALL)
_LONGEST_NAME = 80
# The kernel takes the bits of the umask from it.
_ORDINARY_MODE = 0o666
# What filesystems and kernels without unnamed files answer.
_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT, errno.ENOSYS)


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Lock an open file, unless it is locked already; shared locks go together."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def still_named(handle: int, path: Path) -> bool:
    """Tell whether `path` is still the open file: its last owner may have renamed or removed it."""
    here = os.fstat(handle)
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


class PartFile:
    """A file under way, without a name or with that of a part file, that becomes `path`."""

    def __init__(self, path: Path, mode: int | None = None) -> None:
        """Create the file; by default, the umask decides on the mode of the complete file."""
        self.path = path
        # None while the file has no name.
        self._name: Path | None = None
        self._handle = -1
        remove_abandoned_parts(path.parent)
        try:
            self._handle = self._create()
            self._mode = stat.S_IMODE(os.fstat(self._handle).st_mode) if mode is None else mode
            # No other user reads an incomplete file.
            os.fchmod(self._handle, 0o600)
        except BaseException:
            self.close()
            raise

    @property
    def handle(self) -> int:
        """Return the descriptor, which the object owns."""
        return self._handle

    def publish(self) -> None:
        """Give the complete file its mode and its name; another file of that name is replaced."""
        os.fchmod(self._handle, self._mode)
        if self._name is None:
            if not os.path.lexists(self.path):
                with suppress(FileExistsError):
                    self._link(self.path)
                    return
            self._name = self._new_name()
            self._link(self._name)
        self._name.replace(self.path)
        self._name = None

    def close(self) -> None:
        """Close the file; remove it unless it was published."""
        if self._name is not None:
            self._name.unlink(missing_ok=True)
            self._name = None
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _create(self) -> int:
        handle = _create_unnamed(self.path.parent)
        if handle is not None:
            # A link that is not yet renamed is locked, too.
            with suppress(OSError):
                try_lock(handle)
            return handle
        while True:
            self._name = self._new_name()
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            handle = os.open(self._name, flags, _ORDINARY_MODE)
            try:
                if try_lock(handle) and still_named(handle, self._name):
                    return handle
            except OSError:
                # A filesystem without locks: others cannot lock the file either, and let it be.
                return handle
            # Another process has taken it for an abandoned one before it was locked.
            self._name.unlink(missing_ok=True)
            os.close(handle)

    def _new_name(self) -> Path:
        name = os.fsencode(self.path.name)[:_LONGEST_NAME]
        return self.path.with_name(f".{os.fsdecode(name)}.{secrets.token_hex(6)}.part")

    def _link(self, path: Path) -> None:
        directory = os.open(path.parent, NAME_ONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Only with a descriptor does `os.link` call linkat, which follows the link in /proc.
            source = descriptor_path(self._handle)
            if source is None:
                raise FileNotFoundError(errno.ENOENT, "/proc is not mounted", str(path))
            os.link(source, path.name, dst_dir_fd=directory)
        finally:
            os.close(directory)


def _create_unnamed(directory: Path) -> int | None:
    """Create a file without a name; None where that is impossible."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return None
    try:
        handle = os.open(directory, flag | os.O_RDWR | os.O_CLOEXEC, _ORDINARY_MODE)
    except OSError as error:
        if error.errno in _NO_UNNAMED_FILES:
            return None
        raise
    # Without /proc, as in some chroots, it cannot get a name.
    if descriptor_path(handle) is not None:
        return handle
    os.close(handle)
    return None


_cleaned: set[tuple[int, int]] = set()


def remove_abandoned_parts(directory: Path) -> None:
    """Remove the part files of killed writers, once per process and directory."""
    with suppress(OSError):
        status = directory.stat()
        key = (status.st_dev, status.st_ino)
        if key in _cleaned:
            return
        _cleaned.add(key)
        with os.scandir(directory) as entries:
            for entry in entries:
                if _PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    with suppress(OSError):
                        _remove_abandoned(directory / entry.name)


def _remove_abandoned(path: Path) -> None:
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        owner = os.fstat(handle).st_uid
        if owner == os.geteuid() and try_lock(handle) and still_named(handle, path):
            path.unlink()
    finally:
        os.close(handle)
