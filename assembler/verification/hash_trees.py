"""Hash trees of dm-verity: whether data and tree are those of a root hash."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from assembler.inspection import CorruptDataError
from assembler.media import VERITY_BLOCK, VerityLayout, VeritySuperblock
from assembler.verification.report import FailedCheckError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.inspection import DataSource

_DIGEST = 32
_PER_BLOCK = VERITY_BLOCK // _DIGEST
# Blocks that are read at once.
_BATCH = 256
_MAX_BLOCKS = 1 << 36


def check_tree(data: DataSource, tree: DataSource, root_hash: bytes) -> str:
    """Check each block from the root hash down, and return what was checked."""
    try:
        superblock = VeritySuperblock.parse(tree.read(0, VERITY_BLOCK))
    except ValueError as error:
        raise FailedCheckError(str(error)) from error
    blocks = superblock.data_blocks
    if blocks > _MAX_BLOCKS or blocks * VERITY_BLOCK > data.size:
        raise FailedCheckError(
            f"the superblock is for {blocks} blocks of data, and there are "
            f"{data.size // VERITY_BLOCK}"
        )
    layout = VerityLayout.of(blocks * VERITY_BLOCK)
    if layout.size > tree.size:
        raise FailedCheckError("the hash tree is cut short")
    salted = hashlib.sha256(superblock.salt)
    # The digests of the level above, in order; that of the top block is the root hash.
    above: Iterator[bytes] = iter((root_hash,))
    for level in reversed(range(len(layout.levels))):
        first, count = layout.first_block(level), layout.levels[level]
        what = "the top block" if level == len(layout.levels) - 1 else f"a block of level {level}"
        wrong = _first_wrong(tree, first, count, above, salted)
        if wrong is not None:
            place = (first + wrong) * VERITY_BLOCK
            raise FailedCheckError(
                f"{what} of the hash tree, at byte {place}, does not fit the hash above it"
                + (" (or root hash or salt do not fit)" if what == "the top block" else "")
            )
        above = _digests(tree, first, count)
    wrong = _first_wrong(data, 0, blocks, above, salted)
    if wrong is not None:
        raise FailedCheckError(f"block {wrong} of the data is not what was signed")
    return f"{blocks} blocks of data, {sum(layout.levels)} of hashes"


def _first_wrong(
    source: DataSource, first: int, count: int, wanted: Iterator[bytes], salted: hashlib._Hash
) -> int | None:
    """Return the number of the first block whose hash is not the one that is wanted."""
    for number, block in enumerate(_blocks(source, first, count)):
        hasher = salted.copy()
        hasher.update(block)
        if hasher.digest() != next(wanted, b""):
            return number
    return None


def _blocks(source: DataSource, first: int, count: int) -> Iterator[memoryview]:
    for at in range(first, first + count, _BATCH):
        size = min(_BATCH, first + count - at) * VERITY_BLOCK
        data = memoryview(source.read(at * VERITY_BLOCK, size))
        if len(data) != size:
            raise CorruptDataError("it is cut short")
        for start in range(0, size, VERITY_BLOCK):
            yield data[start : start + VERITY_BLOCK]


def _digests(source: DataSource, first: int, count: int) -> Iterator[bytes]:
    for block in _blocks(source, first, count):
        data = bytes(block)
        for at in range(0, _PER_BLOCK * _DIGEST, _DIGEST):
            yield data[at : at + _DIGEST]
