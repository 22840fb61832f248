"""dm-verity: the superblock and the hash tree of a volume, written while its data streams.

The format is that of veritysetup: version 1, SHA-256 with the salt first, blocks of 4096 bytes. The
hash partition has the superblock in its first block, then the tree, its top level first.
"""

from __future__ import annotations

import hashlib
import os
import struct
import uuid
from dataclasses import dataclass

from assembler import magics

VERITY_BLOCK = 4096
_DIGEST = 32
_PER_BLOCK = VERITY_BLOCK // _DIGEST
_SALT = 32
_SUPERBLOCK = struct.Struct("<8sII16s32sIIQH6x256s168x")


@dataclass(frozen=True, slots=True)
class VerityIdentity:
    """The salt of a tree and the UUID of its superblock."""

    salt: bytes
    uuid: uuid.UUID

    @classmethod
    def of(cls, seed: bytes) -> VerityIdentity:
        """Derive both from a seed of the content.

        The salt is part of each hash, so a salt from the bytes of the volume would need a pass
        over them of its own. What the volume is made of is known before.
        """
        salt = hashlib.sha256(b"dolmen verity salt\0" + seed).digest()
        name = hashlib.sha256(b"dolmen verity uuid\0" + seed).digest()
        return cls(salt[:_SALT], uuid.UUID(bytes=name[:16], version=5))


@dataclass(frozen=True, slots=True)
class VerityLayout:
    """The blocks of a tree by level."""

    data_blocks: int
    # The number of blocks of each level, that above the data first.
    levels: tuple[int, ...]

    @classmethod
    def of(cls, size: int) -> VerityLayout:
        """Return the layout for data of a size in bytes."""
        blocks = max(1, -(-size // VERITY_BLOCK))
        levels = []
        below = blocks
        # A single block has no tree: the root hash is its own.
        while below > 1:
            below = -(-below // _PER_BLOCK)
            levels.append(below)
        return cls(blocks, tuple(levels))

    @property
    def size(self) -> int:
        """Return the size of superblock and tree."""
        return (1 + sum(self.levels)) * VERITY_BLOCK

    def first_block(self, level: int) -> int:
        """Return the number of a level's first block; the superblock is block 0."""
        return 1 + sum(self.levels[level + 1 :])


@dataclass(frozen=True, slots=True)
class VeritySuperblock:
    """The superblock: nothing signs it, but other values lead to other hashes."""

    data_blocks: int
    salt: bytes
    uuid: uuid.UUID

    @classmethod
    def parse(cls, data: bytes) -> VeritySuperblock:
        """Read a superblock; ValueError says what is wrong with it."""
        if len(data) < _SUPERBLOCK.size or not data.startswith(magics.VERITY):
            raise ValueError("there is no superblock of dm-verity")
        _, version, form, own, name, of, by, blocks, size, salt = _SUPERBLOCK.unpack_from(data)
        if (version, form, name.rstrip(b"\0")) != (1, 1, b"sha256"):
            raise ValueError("the superblock is not of version 1 with SHA-256")
        if (of, by) != (VERITY_BLOCK, VERITY_BLOCK) or size > len(salt) or not blocks:
            raise ValueError("the superblock has other blocks, or a salt that is too long")
        return cls(blocks, salt[:size], uuid.UUID(bytes=own))


class VerityWriter:
    """Writes superblock and tree to a file while the data of the volume passes by."""

    def __init__(self, handle: int, size: int, identity: VerityIdentity) -> None:
        """Begin a tree for `size` bytes in an empty file."""
        self._handle = handle
        self._size = size
        self._identity = identity
        self._layout = VerityLayout.of(size)
        self._salted = hashlib.sha256(identity.salt)
        # The block of each level that is being filled, and the number of those before it.
        self._open = [bytearray() for _ in self._layout.levels]
        self._written = [0 for _ in self._layout.levels]
        self._rest = b""
        self._seen = 0
        self._root = b""

    def update(self, data: bytes) -> None:
        """Hash the next bytes of the volume."""
        self._seen += len(data)
        if self._rest:
            missing = VERITY_BLOCK - len(self._rest)
            self._rest += data[:missing]
            data = data[missing:]
            if len(self._rest) < VERITY_BLOCK:
                return
            self._add(0, self._hash(self._rest))
        whole = len(data) // VERITY_BLOCK * VERITY_BLOCK
        view = memoryview(data)
        salted = self._salted
        for start in range(0, whole, VERITY_BLOCK):
            hasher = salted.copy()
            hasher.update(view[start : start + VERITY_BLOCK])
            self._add(0, hasher.digest())
        self._rest = data[whole:]

    def finish(self) -> bytes:
        """Write what is left, and return the root hash; the last block is padded with zeros."""
        if self._seen != self._size:
            raise ValueError(f"{self._seen} bytes instead of {self._size}")
        if self._rest or not self._size:
            self._add(0, self._hash(self._rest.ljust(VERITY_BLOCK, b"\0")))
        for level in range(len(self._open)):
            if self._open[level]:
                self._flush(level)
        os.pwrite(self._handle, self._superblock().ljust(VERITY_BLOCK, b"\0"), 0)
        return self._root

    def _add(self, level: int, digest: bytes) -> None:
        if level == len(self._open):
            self._root = digest
            return
        block = self._open[level]
        block += digest
        if len(block) == VERITY_BLOCK:
            self._flush(level)

    def _flush(self, level: int) -> None:
        block = bytes(self._open[level]).ljust(VERITY_BLOCK, b"\0")
        number = self._layout.first_block(level) + self._written[level]
        os.pwrite(self._handle, block, number * VERITY_BLOCK)
        self._written[level] += 1
        self._open[level].clear()
        self._add(level + 1, self._hash(block))

    def _hash(self, block: bytes) -> bytes:
        hasher = self._salted.copy()
        hasher.update(block)
        return hasher.digest()

    def _superblock(self) -> bytes:
        return _SUPERBLOCK.pack(
            magics.VERITY,
            1,
            1,
            self._identity.uuid.bytes,
            b"sha256",
            VERITY_BLOCK,
            VERITY_BLOCK,
            self._layout.data_blocks,
            len(self._identity.salt),
            self._identity.salt,
        )


def root_hash_uuids(root_hash: bytes) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the UUIDs of the root and the hash partition: the halves of the root hash."""
    return uuid.UUID(bytes=root_hash[:16]), uuid.UUID(bytes=root_hash[-16:])


def verity_capacity(size: int) -> int:
    """Return the size of the hash partition that serves any volume of up to `size` bytes."""
    return VerityLayout.of(size).size
