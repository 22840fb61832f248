"""Incoming blobs: received, hashed and counted in tmp/, then moved to their place."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import images
from assembler.errors import ImageError, host_error, is_full_disk_error, wrap_os_errors

if TYPE_CHECKING:
    from hashlib import _Hash
    from pathlib import Path

    from assembler.oci.manifest import Descriptor

_CHUNK = 1 << 20


def new_sha256() -> _Hash:
    """Return a new SHA-256 hash object."""
    return hashlib.sha256(usedforsecurity=False)


def write_at(handle: int, data: memoryview, offset: int) -> None:
    """Write all of the data, with as many system calls as needed."""
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written


@dataclass(slots=True)
class IncomingBlob:
    """The blob of a descriptor, open for writing its missing part.

    `present` blobs need nothing. Else fetch from `offset` on (not 0 if an earlier attempt was cut),
    `write` what comes and `commit`. A block left without a commit keeps what has arrived for
    the next attempt; after a failed commit nothing is kept, since some of it is wrong.
    """

    descriptor: Descriptor
    path: Path
    handle: int = -1
    target: Path | None = None
    offset: int = 0
    resumed: bool = False
    _hash: _Hash = field(default_factory=new_sha256)

    @property
    def present(self) -> bool:
        """Tell whether the blob is in the store: before the block, or since the commit."""
        return self.handle < 0

    def resume(self) -> None:
        """Hash the part of an earlier attempt, to continue from there."""
        with wrap_os_errors(self.path, "read"):
            size = os.fstat(self.handle).st_size
            if size > self.descriptor.size:
                os.ftruncate(self.handle, 0)
            else:
                while self.offset < size:
                    chunk = os.pread(self.handle, _CHUNK, self.offset)
                    self._hash.update(chunk)
                    self.offset += len(chunk)
        self.resumed = self.offset > 0

    def restart(self) -> None:
        """Discard the received part: the sender starts again."""
        with wrap_os_errors(self.path):
            os.ftruncate(self.handle, 0)
        self.offset, self.resumed, self._hash = 0, False, new_sha256()

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append a chunk; more than the descriptor's size is refused."""
        view = memoryview(chunk).cast("B")
        if self.offset + len(view) > self.descriptor.size:
            self.restart()
            raise ImageError.of(
                images.CORRUPT_BLOB,
                f"{self.descriptor.digest} is longer than the {self.descriptor.size} bytes that "
                "its manifest says",
            )
        self._hash.update(view)
        try:
            write_at(self.handle, view, self.offset)
        except OSError as error:
            failure = host_error(error, self.path)
            if is_full_disk_error(error):
                # What was received would keep the disk full.
                self.restart()
            raise failure from error
        self.offset += len(view)

    def commit(self) -> None:
        """Check the received content and move it to its place in the store."""
        if self.present:
            return
        digest = "sha256:" + self._hash.hexdigest()
        if self.offset != self.descriptor.size or digest != self.descriptor.digest:
            got = f"{self.offset} bytes with the digest {digest}"
            wanted = f"{self.descriptor.size} bytes with the digest {self.descriptor.digest}"
            self.restart()
            raise ImageError.of(images.CORRUPT_BLOB, f"what came is {got}; wanted were {wanted}")
        assert self.target is not None  # noqa: S101 - an open blob always has a target
        with wrap_os_errors(self.path):
            os.fchmod(self.handle, 0o644)
            os.fsync(self.handle)
            self.path.rename(self.target)
        self.close()

    def close(self) -> None:
        """Unlock the blob; an attempt without content leaves no file."""
        if self.handle < 0:
            return
        if not self.offset:
            self.path.unlink(missing_ok=True)
        os.close(self.handle)
        self.handle = -1
