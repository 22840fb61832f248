"""Digests of the content of outputs, which do not depend on how the content is compressed.

The bytes of a compressed output depend on the version of a library. With another version, tests
compare the content instead.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import struct
import tarfile
import zlib
from typing import TYPE_CHECKING

import zstandard

from support.cpio import archives_of

if TYPE_CHECKING:
    from pathlib import Path

_SECTOR = 512
# The header and the description of a VMDK, before the first grain.
_BEFORE = 128 * _SECTOR


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_initrd(path: Path) -> str:
    """Return a digest of the entries of an initrd."""
    return _entries(path.read_bytes())


def _entries(data: bytes) -> str:
    return digest("\n".join(repr(e) for found in archives_of(data) for e in found).encode())


def of_tar_with_initrd(path: Path) -> str:
    """Return a digest of a tar archive; of the initrd in it, the entries count."""
    said = []
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            data = file.read() if file else b""
            inside = _entries(data) if member.name.endswith("initrd.img") else digest(data)
            kept = (member.mode, member.uid, member.gid, member.mtime, member.type)
            said.append(repr((member.name, *kept, member.linkname, inside)))
    return digest("\n".join(said).encode())


def of_disk(path: Path) -> str:
    """Return a digest of the initrd in a disk, a CD or a program; it lies beside them as well."""
    initrd = path.with_name("image-initrd.img").read_bytes()
    assert initrd in path.read_bytes(), f"the initrd is not in {path.name}"
    return _entries(initrd)


def of_gzip(path: Path) -> str:
    """Return the SHA-256 of what a file decompresses to."""
    with gzip.open(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_vmdk(path: Path) -> str:
    """Return a digest of the grains of a VMDK and of where they lie."""
    data = path.read_bytes()
    whole = hashlib.sha256(data[_SECTOR:_BEFORE])
    at = _BEFORE
    while at < len(data):
        place, size, kind = struct.unpack_from("<QII", data, at)
        if size:
            whole.update(b"%d" % place + zlib.decompress(data[at + 12 : at + 12 + size]))
            at += -(-(12 + size) // _SECTOR) * _SECTOR
        else:
            # A marker, followed by as many sectors as it says.
            whole.update(b"mark %d" % kind)
            at += (1 + place) * _SECTOR
    return whole.hexdigest()


def of_predictions(path: Path) -> str:
    """Return the SHA-256 of predicted PCRs without their digests."""
    return digest(re.sub(rb'"[0-9a-f]{64}"', b"DIGEST", path.read_bytes()))


def of_layout(path: Path) -> str:
    """Return a digest of an OCI layout in a tar archive, with its layers decompressed.

    In documents, the digests of layers and of other documents are replaced accordingly.
    """
    with tarfile.open(path) as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]
    known = {name.rpartition("/")[2]: _plain(data) for name, data in files.items()}
    names = {name: digest(data) for name, data in known.items()}
    for _ in range(len(known)):
        known = {name: _renamed(data, names) for name, data in known.items()}
        names = {name: digest(data) for name, data in known.items()}
    return digest("\n".join(sorted(names.values())).encode())


def _plain(data: bytes) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data


def _renamed(data: bytes, names: dict[str, str]) -> bytes:
    try:
        json.loads(data)
    except ValueError:
        return data
    text = re.sub(r'"size": ?\d+', '"size":0', data.decode())
    return re.sub("[0-9a-f]{64}", lambda m: names.get(m[0], m[0]), text).encode()


def of_tar_with_sbom(path: Path) -> str:
    """Return a digest of a tar archive, without the version of Dolmen in its SPDX document."""
    said = []
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            data = file.read() if file else b""
            if member.name.endswith(".spdx.json"):
                # The document is named after its content.
                data = re.sub(rb'"documentNamespace": ?"[^"]*"', b"", data)
                data = re.sub(rb'"Tool: dolmen-[^"]+"', b"", data)
            kept = (member.name, member.mode, member.uid, member.gid, member.mtime, member.type)
            said.append(repr((*kept, member.linkname, digest(data))))
    return digest("\n".join(said).encode())
