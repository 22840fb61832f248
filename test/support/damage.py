"""Systems of layers in every compression, whose stored files are damaged bit by bit."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from typing import TYPE_CHECKING

import zstandard

from assembler.content import read_content
from assembler.encode.assembly import Assembly
from assembler.encode.encode_options import EncodeOptions
from assembler.errors import DolmenError
from assembler.events import NullReporter, Reporter
from assembler.oci import media_types
from assembler.rootfs.plan import (
    ArchiveTree,
    BootSpec,
    EntryKind,
    GeneratedEntry,
    GeneratedPart,
    ImageMember,
    ImageTree,
    Origin,
    Plan,
    TreeRules,
)
from support.archives import E, directory, resolved, symlink, tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from assembler.oci.image import Image
    from assembler.oci.store import Store

ROOT = [
    directory("bin"),
    E("bin/sh", hashlib.shake_256(b"sh").digest(6000), mode=0o755),
    E("etc/motd", b"text of the day\n" * 300),
    symlink("bin/ash", "sh"),
    E("long/" + "n" * 120, b"long name", pax={"SCHILY.xattr.user.note": "yes"}),
]
KERNEL = [
    E("kernel", b"vmlinuz" * 500),
    E("kernel.tar", tar([E("lib/modules/m.ko", b"module" * 300)])),
    E("ucode.cpio", b"070701" + bytes(50)),
]
# Where bits flip: at the ends, and all over the file.
PLACES = [0, 1, 5, *range(3, 100, 7), 100]


def _frames_without_checksum(data: bytes) -> bytes:
    # Small content is stored as it is in some frames.
    packer = zstandard.ZstdCompressor(write_checksum=False)
    return b"".join(packer.compress(data[n : n + 4000]) for n in range(0, len(data), 4000))


COMPRESSIONS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "gzip": (lambda data: gzip.compress(data, 6, mtime=0), media_types.OCI_LAYER_GZIP),
    "plain": (lambda data: data, media_types.OCI_LAYER),
    "zstd": (_frames_without_checksum, media_types.OCI_LAYER_ZSTD),
    "zstd-checksum": (
        zstandard.ZstdCompressor(write_checksum=True).compress,
        media_types.OCI_LAYER_ZSTD,
    ),
}


def packed_image(store: Store, name: str, entries: list[E], compression: str) -> Image:
    """Put an image with one layer into the store."""
    pack, media_type = COMPRESSIONS[compression]
    data = tar(entries)
    document = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest()]},
    }
    text = json.dumps(document).encode()
    config = store.add_bytes(text, media_types.OCI_CONFIG)
    return resolved(store, name, config, [store.add_bytes(pack(data), media_type)], text)


def system(store: Store, compression: str) -> Plan:
    """Return a plan with a kernel, modules and trees."""
    kernel = packed_image(store, "test/kernel:1", KERNEL, compression)
    root = packed_image(store, "test/root:1", ROOT, compression)
    origin = Origin("test", "init[0]")
    return Plan(
        "amd64",
        (
            ArchiveTree(origin, kernel, "kernel.tar"),
            ImageTree(origin, root, "", TreeRules.ROOT),
            ImageTree(origin, root, "lower/", TreeRules.CONTAINER),
            GeneratedPart(
                origin,
                (
                    GeneratedEntry(
                        "boot/kernel", EntryKind.FILE, 0o644, ImageMember(kernel, "kernel")
                    ),
                ),
            ),
        ),
        BootSpec(
            ImageMember(kernel, "kernel", purpose="kernel"),
            "quiet",
            ImageMember(kernel, "ucode.cpio", purpose="microcode"),
        ),
    )


def outputs(plan: Plan, store: Store, reporter: Reporter | None = None) -> tuple[bytes, ...]:
    """Return all that formats take from an assembly."""
    options = EncodeOptions(jobs=1)
    with Assembly(plan, store, options, reporter or NullReporter()) as assembly:
        pieces = assembly.tree()
        whole = b"".join(read_content(p) if not isinstance(p, memoryview) else p for p in pieces)
        kernel = assembly.kernel()
        assert kernel is not None
        return whole, read_content(assembly.initrd()), read_content(kernel.content)


def outputs_or_error(plan: Plan, store: Store) -> tuple[bytes, ...] | DolmenError:
    """Return the outputs, or the error that refuses them."""
    try:
        return outputs(plan, store)
    except DolmenError as error:
        return error


def flipped(path: Path) -> Iterator[str]:
    """Flip a bit at each of the places of a file, keeping its times; then repair it."""
    content, status = path.read_bytes(), path.stat()
    for place in PLACES:
        data = bytearray(content)
        at = min(len(data) * place // 100, len(data) - 1)
        data[at] ^= 1 << place % 8
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        yield f"{path.name}, bit {place % 8} of byte {at} of {len(data)}"
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
