"""The store: the blobs and names of one directory, by the protocol of the package."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from assembler.codes import images
from assembler.errors import HostError, ImageError, host_error, wrap_os_errors
from assembler.files import STORE_MODE, atomic_write, sync_directory
from assembler.oci import digest as digests
from assembler.oci.manifest import MAX_MANIFEST_SIZE, Descriptor
from assembler.oci.store import locks
from assembler.oci.store.incoming_blob import IncomingBlob, new_sha256, write_at
from assembler.oci.store.layout import StoreLayout
from assembler.oci.store.names import ImageNames
from assembler.oci.store.names_copy import content_before_rot, write_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from assembler.oci.reference import Reference

_LARGEST_INDEX = 64 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Store:
    """The images below one directory; a new Store touches nothing on disk."""

    root: Path

    @property
    def layout(self) -> StoreLayout:
        """Return the paths of the store."""
        return StoreLayout(self.root)

    # Reading

    def path(self, digest: str) -> Path:
        """Return the path of a blob."""
        return self.layout.blob(digest)

    def has(self, descriptor: Descriptor) -> bool:
        """Tell whether the blob is there, with the size of the descriptor."""
        try:
            found = self.path(descriptor.digest).stat(follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == descriptor.size

    def read(self, descriptor: Descriptor, what: str = "") -> bytes:
        """Return a small document, verified; `what` names it in errors."""
        what = what or descriptor.digest
        if descriptor.size > MAX_MANIFEST_SIZE:
            raise ImageError.of(
                images.BAD_MANIFEST, f"{what}: it is larger than {MAX_MANIFEST_SIZE >> 20} MiB"
            )
        with (
            self.open(descriptor, what) as file,
            wrap_os_errors(self.path(descriptor.digest), "read"),
        ):
            data = file.read(descriptor.size + 1)
        if len(data) != descriptor.size or digests.digest_of(data) != descriptor.digest:
            raise self._content_error(descriptor, what, "its content does not match its digest")
        return data

    def open(self, descriptor: Descriptor, what: str = "") -> IO[bytes]:
        """Open a blob of any size; only its size is checked here."""
        what = what or descriptor.digest
        path = self.path(descriptor.digest)
        try:
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb")
        except FileNotFoundError:
            raise _missing(descriptor, what) from None
        except OSError as error:
            raise host_error(error, path, "read") from error
        size = os.fstat(file.fileno()).st_size
        if size != descriptor.size:
            file.close()
            why = f"it is {size} bytes long instead of {descriptor.size}"
            raise self._content_error(descriptor, what, why)
        return file

    def verify(self, descriptor: Descriptor, what: str = "") -> None:
        """Compare a blob of any size with its digest; a wrong one is quarantined."""
        hasher = new_sha256()
        with (
            self.open(descriptor, what) as file,
            wrap_os_errors(self.path(descriptor.digest), "read"),
        ):
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
        if hasher.hexdigest() != digests.digest_hex(descriptor.digest):
            why = "its content does not match its digest"
            raise self._content_error(descriptor, what or descriptor.digest, why)

    def names(self) -> ImageNames:
        """Return the current names; a missing store has none."""
        path = self.layout.index
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
                data = file.read(_LARGEST_INDEX + 1)
        except FileNotFoundError:
            return ImageNames.none()
        except OSError as error:
            raise host_error(error, path, "read") from error
        if content_before_rot(self.layout, found, data) is not None:
            raise ImageError.of(
                images.BROKEN_STORE,
                f"{path} has changed on the disk",
                "`dolmen cache verify --repair` restores it; check the disk",
            )
        return ImageNames.parse(data, str(path))

    def restore_names(self) -> bool:
        """Restore names that have changed on the disk from their copy; tell whether they had."""
        path = self.layout.index
        with self.index_locked(), wrap_os_errors(path, "read"):
            if not path.exists():
                return False
            right = content_before_rot(self.layout, path.stat(), path.read_bytes())
            if right is not None:
                self._write_names(right)
        return right is not None

    # Writing blobs

    @contextmanager
    def incoming(
        self, descriptor: Descriptor, waiting: Callable[[], None] | None = None
    ) -> Iterator[IncomingBlob]:
        """Lock a blob for writing; it may be `present` already, perhaps after a wait.

        While another thread or process fetches the same blob, `waiting` is called now and then,
        and may raise to give up. A thread must not ask for a second blob inside the block.
        """
        try:
            self.layout.prepare()
            part = self.layout.part(descriptor.digest)
            handle = locks.open_locked(part, waiting)
        except HostError:
            # A read-only store is enough if the blob is there.
            if not self.has(descriptor):
                raise
            yield IncomingBlob(descriptor, self.path(descriptor.digest))
            return
        target = self.path(descriptor.digest)
        if self.has(descriptor):
            incoming = IncomingBlob(descriptor, target)
            try:
                self._used(target)
                part.unlink(missing_ok=True)
            finally:
                os.close(handle)
            yield incoming
            return
        incoming = IncomingBlob(descriptor, part, handle, target)
        try:
            incoming.resume()
            yield incoming
        finally:
            incoming.close()

    def add_bytes(self, data: bytes, media_type: str = "") -> Descriptor:
        """Add a small blob, and return its descriptor."""
        descriptor = Descriptor(media_type, digests.digest_of(data), len(data))
        with self.incoming(descriptor) as blob:
            if not blob.present:
                blob.restart()
                blob.write(data)
                blob.commit()
        return descriptor

    def add_stream(
        self, chunks: Iterable[bytes], media_type: str = "", *, expected: str = ""
    ) -> Descriptor:
        """Add a blob of unknown size; its digest must be `expected`, if given."""
        self.layout.prepare()
        hasher, size = new_sha256(), 0
        with locks.create_locked(self.layout.tmp, "", ".new") as (handle, path):
            for chunk in chunks:
                hasher.update(chunk)
                with wrap_os_errors(path):
                    write_at(handle, memoryview(chunk), size)
                size += len(chunk)
            descriptor = Descriptor(media_type, "sha256:" + hasher.hexdigest(), size)
            if expected and descriptor.digest != expected:
                raise ImageError.of(
                    images.CORRUPT_BLOB, f"the blob {expected} has the digest {descriptor.digest}"
                )
            self._commit(descriptor, handle, path)
        return descriptor

    def _commit(self, descriptor: Descriptor, handle: int, path: Path) -> None:
        """Move a complete file to its place, unless the blob is there."""
        with self.incoming(descriptor) as blob, wrap_os_errors(path):
            if blob.present:
                return
            os.fchmod(handle, 0o644)
            os.fsync(handle)
            path.rename(self.path(descriptor.digest))
            # Discard the part that another writer has begun.
            blob.restart()

    def quarantine(self, digest: str) -> None:
        """Move a blob with wrong content to quarantine, so that it is fetched again."""
        layout = self.layout
        with wrap_os_errors(layout.blob(digest)):
            layout.quarantine.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                layout.blob(digest).rename(layout.quarantine / digests.digest_hex(digest))

    def touch(self, descriptors: Iterable[Descriptor]) -> None:
        """Record the use of blobs, where that is allowed."""
        for descriptor in descriptors:
            self._used(self.path(descriptor.digest))

    # Writing names

    def edit(self, change: Callable[[ImageNames], ImageNames]) -> ImageNames:
        """Replace the names by the result of `change`, and return the new ones."""
        with self.index_locked():
            before = self.names()
            after = change(before)
            if after != before:
                self.replace_names(after)
        return after

    def replace_names(self, names: ImageNames) -> None:
        """Write the names; callers hold `index_locked` since they read them."""
        with wrap_os_errors(self.root):
            sync_directory(self.layout.blobs)
        self._write_names(names.as_json())

    def _write_names(self, content: bytes) -> None:
        with atomic_write(self.layout.index, mode=STORE_MODE) as file:
            file.write(content)
        write_copy(self.layout, content)

    def put(self, name: Reference | str, descriptor: Descriptor) -> None:
        """Name a blob in the store; the name's old blob loses it."""
        if not self.has(descriptor):
            raise _missing(descriptor, str(name))
        if self.names().only(str(name), descriptor):
            return
        self.edit(lambda names: names.put(str(name), descriptor))

    def remove(self, names: Iterable[Reference | str]) -> None:
        """Remove names; blobs stay until garbage collection."""
        gone = [str(n) for n in names]
        self.edit(lambda now: now.without(gone))

    @contextmanager
    def index_locked(self) -> Iterator[None]:
        """Lock the names during the block, which must be short."""
        self.layout.prepare()
        with locks.hold_lock(self.layout.locks / "index"):
            yield

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Protect everything used inside the block from garbage collection."""
        with ExitStack() as stack:
            # A read-only store has no garbage collection.
            with suppress(HostError):
                self.layout.prepare()
                stack.enter_context(locks.create_locked(self.layout.locks, "use-", ""))
            yield

    def _used(self, path: Path) -> None:
        with suppress(OSError):
            os.utime(path)

    def _content_error(self, descriptor: Descriptor, what: str, why: str) -> ImageError:
        hint = "pull or import the image again; `dolmen cache verify` checks the others"
        try:
            self.quarantine(descriptor.digest)
        except HostError:
            hint = f"remove {self.path(descriptor.digest)} and pull or import the image again"
        message = f"{what}: the blob {descriptor.digest} in the store is wrong: {why}"
        return ImageError.of(images.CORRUPT_BLOB, message, hint)


def _missing(descriptor: Descriptor, what: str) -> ImageError:
    return ImageError.of(
        images.BLOB_MISSING,
        f"{what}: the blob {descriptor.digest} is not in the store",
        "pull or import the image again",
    )
