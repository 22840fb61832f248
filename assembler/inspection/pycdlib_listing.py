"""A program that lists the files of an ISO volume through pycdlib, within limits on itself.

    pycdlib_listing.py Joliet|UDF HANDLE OFFSET SIZE MOST

It prints JSON: {"files": [[path, size], …]} or {"problem": text}. It imports nothing of Dolmen, so
that it starts fast and is found by its path.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycdlib import PyCdlib
    from pycdlib.dr import DirectoryRecord
    from pycdlib.udf import UDFFileEntry

_MAX_MEMORY = 512 << 20
_MAX_SECONDS = 15
_MAX_DEPTH = 64
# The characters of all paths.
_MAX_PATHS = 8 << 20


class _LimitError(Exception):
    """The volume exceeds a limit of this program."""


class _Window(io.RawIOBase):
    """A range of an open file as a file of its own; several may share the descriptor."""

    def __init__(self, handle: int, offset: int, size: int) -> None:
        super().__init__()
        self._handle = handle
        self._offset = offset
        self._size = size
        self._at = 0
        # pycdlib looks for the letter b.
        self.mode = "rb"

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be sought in."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes, fewer at the end."""
        left = max(0, self._size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        data = os.pread(self._handle, wanted, self._offset + self._at) if wanted else b""
        self._at += len(data)
        return data


def _name(child: DirectoryRecord | UDFFileEntry, namespace: str) -> str:
    raw = child.file_identifier()
    if namespace == "Joliet":
        return raw.decode("utf-16-be", "replace").partition(";")[0]
    identifier = getattr(child, "file_ident", None)
    return raw.decode(identifier.encoding if identifier else "latin-1", "replace")


def _files(volume: PyCdlib, namespace: str, most: int) -> Iterator[tuple[str, int]]:
    """Yield paths and sizes; directories are visited in the order of their names."""
    waiting = [("", 0)]
    entries = 0
    while waiting:
        directory, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise _LimitError("its directories are too deep")
        path = directory or "/"
        children = (
            volume.list_children(udf_path=path)
            if namespace == "UDF"
            else volume.list_children(joliet_path=path)
        )
        below = []
        for child in children:
            if child is None or child.is_dot() or child.is_dotdot():
                continue
            entries += 1
            if entries > 2 * most:
                raise _LimitError(f"it has more than {2 * most} files and directories")
            here = f"{directory}/{_name(child, namespace)}"
            if child.is_dir():
                below.append((here, depth + 1))
            else:
                yield here[1:], child.get_data_length()
        waiting += sorted(below, reverse=True)


def _list(namespace: str, window: _Window, most: int) -> dict[str, object]:
    # 30 ms; the limits hold for it, too.
    import pycdlib  # noqa: PLC0415

    volume = pycdlib.PyCdlib()
    volume.open_fp(cast("BinaryIO", window))
    files: list[tuple[str, int]] = []
    length = 0
    for file in _files(volume, namespace, most):
        length += len(file[0])
        if len(files) >= most:
            raise _LimitError(f"it has more than {most} files")
        if length > _MAX_PATHS:
            raise _LimitError("its paths are too long")
        files.append(file)
    return {"files": files}


def _words(error: Exception) -> str:
    """Return what an exception says; those that are not meant for people say their type first."""
    name = type(error).__name__
    if isinstance(error, _LimitError) or type(error).__module__.startswith("pycdlib."):
        return str(error)
    return f"{name}: {error}" if str(error) else name


def main() -> None:
    """Answer on the standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_MAX_SECONDS, _MAX_SECONDS))
    namespace, *numbers = sys.argv[1:]
    handle, offset, size, most = map(int, numbers)
    try:
        answer = _list(namespace, _Window(handle, offset, size), most)
    except Exception as error:
        answer = {"problem": _words(error)[:200]}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
