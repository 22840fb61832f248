"""A second copy of index.json, which tells rot from what other programs write, and repairs it.

The copy has the time and the size of the index.json that it was made of. If both are still the same
and the content is not, then the disk has changed it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from assembler.errors import HostError
from assembler.files import STORE_MODE, atomic_write

if TYPE_CHECKING:
    import os

    from assembler.oci.store.layout import StoreLayout


def write_copy(layout: StoreLayout, content: bytes) -> None:
    """Write the copy of an index.json that was just written; a full disk does not matter."""
    with suppress(OSError, HostError):
        time = layout.index.stat().st_mtime_ns
        with atomic_write(layout.index_copy, mode=STORE_MODE, durable=False) as file:
            file.write(f"{time} {hashlib.sha256(content).hexdigest()}\n".encode() + content)


def content_before_rot(layout: StoreLayout, found: os.stat_result, content: bytes) -> bytes | None:
    """Return what an index.json was before it changed on the disk; None if it did not."""
    try:
        head, _, copy = layout.index_copy.read_bytes().partition(b"\n")
    except OSError:
        return None
    time, _, digest = head.partition(b" ")
    same = (str(found.st_mtime_ns).encode(), found.st_size) == (time, len(copy))
    if not same or copy == content:
        return None
    # The copy may be what has changed.
    return copy if hashlib.sha256(copy).hexdigest().encode() == digest else None
