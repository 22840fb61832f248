"""A second copy of index.json, which tells rot from what other programs write, and repairs it.

The copy has the size and the time of the index.json that it was made of. If both are still the same
and the content is not, then the disk has changed it.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from assembler.errors import HostError
from assembler.files import STORE_MODE, atomic_write

if TYPE_CHECKING:
    from assembler.oci.store.layout import StoreLayout


def write_copy(layout: StoreLayout, content: bytes) -> None:
    """Write the copy of an index.json that was just written; a full disk does not matter."""
    with suppress(OSError, HostError):
        time = layout.index.stat().st_mtime_ns
        with atomic_write(layout.index_copy, mode=STORE_MODE, durable=False) as file:
            file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        os.utime(layout.index_copy, ns=(time, time))


def content_before_rot(layout: StoreLayout, found: os.stat_result, content: bytes) -> bytes | None:
    """Return what an index.json was before it changed on the disk; None if it did not."""
    try:
        with layout.index_copy.open("rb") as file:
            time = os.fstat(file.fileno()).st_mtime_ns
            digest, _, copy = file.read().partition(b"\n")
    except OSError:
        return None
    if (time, len(copy)) != (found.st_mtime_ns, found.st_size) or copy == content:
        return None
    # The copy may be what has changed.
    return copy if hashlib.sha256(copy).hexdigest().encode() == digest else None
