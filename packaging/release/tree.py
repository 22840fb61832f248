"""A tree of files in memory, and the archives of it that Debian packages consist of."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_AR_MAGIC = b"!<arch>\n"


@dataclass(frozen=True, slots=True)
class File:
    """A file, or a symbolic link if `link` is not empty."""

    content: bytes = b""
    mode: int = 0o644
    link: str = ""


# Paths without a leading slash.
Tree = dict[str, File]


def parents_of(paths: Iterable[str]) -> list[str]:
    """Return the directories above the paths, sorted."""
    found = {str(p) for path in paths for p in PurePosixPath(path).parents}
    return sorted(found - {"."})


def tar_of(tree: Mapping[str, File], time: int) -> bytes:
    """Return a tar of the tree, owned by root, with `./` before each path, as dpkg writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        members = {**dict.fromkeys(parents_of(tree)), **tree}
        for path, file in sorted([("", None), *members.items()]):
            entry = tarfile.TarInfo(f"./{path}")
            entry.mtime = time
            entry.uname = entry.gname = "root"
            if file is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                # tarfile ends names of directories with a slash by itself.
                entry.name = entry.name.rstrip("/")
            elif file.link:
                entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, file.link
            else:
                entry.mode, entry.size = file.mode, len(file.content)
            tar.addfile(entry, io.BytesIO(file.content) if file is not None else None)
    return out.getvalue()


def write_tree(tree: Mapping[str, File], directory: Path) -> None:
    """Write the files below a directory."""
    for name, file in tree.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.link:
            path.symlink_to(file.link)
        else:
            path.write_bytes(file.content)
            path.chmod(file.mode)


def compress_xz(data: bytes) -> bytes:
    """Compress as dpkg-deb does; one block, so that the number of threads does not matter."""
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, preset=6)


def compress_gzip(text: str) -> bytes:
    """Compress a document as Debian's policy wants it: the best level, without a time."""
    return gzip.compress(text.encode(), 9, mtime=0)


def ar_of(members: Mapping[str, bytes], time: int) -> bytes:
    """Return an ar archive."""
    parts = [_AR_MAGIC]
    for name, content in members.items():
        head = f"{name:<16}{time:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
        parts += [head.encode(), content, b"\n" * (len(content) % 2)]
    return b"".join(parts)
