"""Filesystems of data partitions: ext4 and xfs by their programs, FAT and swap space by us.

The same label, size and volume give the same bytes: UUIDs come from the product and the label.
"""

from __future__ import annotations

import os
import struct
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from assembler.codes import output as codes
from assembler.content import FileRange
from assembler.descriptors import descriptor_path
from assembler.encode import Assembly
from assembler.errors import OutputError
from assembler.events import task
from assembler.formats.filesystem_programs import run_with_tar
from assembler.formats.merged_tar import MergedTar
from assembler.media import ExtentImage, FatFile, FatVolume
from assembler.oci import DIRECTORY, FILE, TarReader
from assembler.rootfs import STANDARD_TIME, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.formats.protocol import FormatOptions
    from assembler.media import SparseImage
    from assembler.rootfs import DataSpec

_NAMESPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
_PAGE = 4096
_SWAP = b"SWAPSPACE2"
# Links that each volume has; FAT has none.
_ADDED_LINKS = ("etc/mtab", "etc/resolv.conf")
# Its own defaults, not those of the host.
_EXT4_ENVIRONMENT = {
    "SOURCE_DATE_EPOCH": str(STANDARD_TIME),
    # The same for versions before 1.47.1.
    "E2FSPROGS_FAKE_TIME": str(STANDARD_TIME),
    "MKE2FS_CONFIG": "/nonexistent/mke2fs.conf",
}
_XFS_ENVIRONMENT = {"SOURCE_DATE_EPOCH": str(STANDARD_TIME), "DETERMINISTIC_SEED": "1"}
_XFS, _EXT4 = "mkfs.xfs", "mke2fs"


def data_uuid(product: str, label: str, purpose: str) -> uuid.UUID:
    """Return a UUID that all versions of a product have in common."""
    return uuid.uuid5(_NAMESPACE, f"{product}/{label}/{purpose}")


@contextmanager
def data_image(
    spec: DataSpec, size: int, product: str, assembly: Assembly, options: FormatOptions
) -> Iterator[SparseImage]:
    """Yield the content of a partition; it refers to a file that is open until the block ends."""
    identity = data_uuid(product, spec.label, "filesystem")
    if spec.filesystem == "swap":
        yield _swap_space(spec.label, size, identity)
        return
    if not spec.filesystem:
        yield ExtentImage(size, ())
        return
    tmp = assembly.store.layout.tmp
    with tempfile.TemporaryFile(dir=tmp if os.access(tmp, os.W_OK) else None) as file:
        if spec.content is None:
            yield _filesystem(spec, size, identity, None, file, assembly, options)
            return
        plan = Plan(assembly.plan.architecture, spec.content)
        with Assembly(plan, assembly.store, assembly.options, assembly.reporter) as volume:
            tree = MergedTar(volume.tree, keeps_boot=True)
            yield _filesystem(spec, size, identity, tree, file, assembly, options)


def _filesystem(
    spec: DataSpec,
    size: int,
    identity: uuid.UUID,
    tree: MergedTar | None,
    file: IO[bytes],
    assembly: Assembly,
    options: FormatOptions,
) -> SparseImage:
    if spec.filesystem == "vfat":
        files = [] if tree is None else list(_fat_files(tree, file, spec))
        return FatVolume.plan(files, size=size, label=spec.label, seed=identity.bytes)
    file.truncate(size)
    path = Path(f"the partition {spec.label}")
    handle = file.fileno()
    target = descriptor_path(handle)
    if target is None:
        raise OutputError.of(
            codes.NO_DATA_FILESYSTEM, f"{spec.filesystem} can only be made on Linux"
        )
    tools = options.filesystem_tools
    with task(assembly.reporter, f"making the {spec.filesystem} {spec.label}"):
        if spec.filesystem == "ext4":
            with tools.own_command(_EXT4) as command:
                words = [*command, *_ext4_arguments(spec.label, identity, tree), target]
                run_with_tar(_EXT4, words, tree, handle, path, _EXT4_ENVIRONMENT)
        else:
            with tools.command(_XFS) as command:
                words = [*command, "-q", "-f", "-L", spec.label, "-m", f"uuid={identity}", target]
                run_with_tar(_XFS, words, None, handle, path, _XFS_ENVIRONMENT)
    return ExtentImage.of(
        [(start, FileRange(handle, end - start, start)) for start, end in _data_ranges(handle)],
        size,
    )


def _ext4_arguments(label: str, identity: uuid.UUID, tree: MergedTar | None) -> Sequence[str]:
    seed = uuid.uuid5(identity, "hash seed")
    return [
        *("-q", "-F", "-t", "ext4", "-b", str(_PAGE), "-L", label, "-U", str(identity)),
        *("-E", f"hash_seed={seed},root_owner=0:0,nodiscard"),
        *(["-d", "-"] if tree is not None else []),
    ]


def _data_ranges(handle: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a sparse file that hold data."""
    end, size = 0, os.fstat(handle).st_size
    while end < size:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
        except OSError:
            # There is no data behind.
            return
        end = os.lseek(handle, start, os.SEEK_HOLE)
        yield start, end


def _fat_files(tree: MergedTar, file: IO[bytes], spec: DataSpec) -> Iterator[FatFile]:
    """Yield the files of a volume; their contents go to a file."""
    reader = TarReader(bytes(chunk) for chunk in tree.chunks())
    while reader.next():
        name = reader.name.decode("utf-8", "surrogateescape").strip("/")
        if reader.kind == DIRECTORY or name in _ADDED_LINKS:
            continue
        if reader.kind != FILE:
            raise OutputError.of(
                codes.NO_DATA_FILESYSTEM,
                f"vfat has only files and directories, and the volume has {name!r}",
                "choose ext4",
                place=spec.place,
            )
        start = file.tell()
        remaining = reader.size
        while remaining:
            data = reader.read(min(remaining, 1 << 20))
            if not data:
                break
            file.write(data)
            remaining -= len(data)
        file.flush()
        yield FatFile(name, FileRange(file.fileno(), file.tell() - start, start))


def _swap_space(label: str, size: int, identity: uuid.UUID) -> SparseImage:
    pages = size // _PAGE
    header = struct.pack("<III16s16s", 1, pages - 1, 0, identity.bytes, label.encode())
    return ExtentImage.of([(1024, header), (_PAGE - len(_SWAP), _SWAP)], size)
