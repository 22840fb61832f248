"""Read a .deb: an ar archive of two compressed tars, as a stream, with limits on every size."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from assembler.codes import packages
from assembler.debian.decompression import (
    COMPRESSIONS,
    DECOMPRESSION_ERRORS,
    decompress,
    fail_above_size,
    prefetch,
)
from assembler.debian.tarball import DebTarReader, TarballError
from assembler.errors import PackageError, wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_MAGIC = b"!<arch>\n"
_MAX_MEMBERS = 16
_CHUNK = 1 << 18
# Packages grow to 100 times their size at most; small packages are exempt from the limit.
_MAX_RATIO = 300
_ALWAYS_ALLOWED = 256 << 20
# The sum of all files in control.tar.
_MAX_CONTROL_SIZE = 64 << 20


@dataclass(frozen=True, slots=True)
class _ArMember:
    name: str
    offset: int
    size: int
    timestamp: int


@contextmanager
def open_deb(path: Path) -> Iterator[DebFile]:
    """Open a .deb; errors in it, also those during the block, name the file."""
    try:
        with wrap_os_errors(path, "read"), path.open("rb") as file:
            yield DebFile(file, {m.name: m for m in _read_ar_members(file)})
    except (TarballError, *DECOMPRESSION_ERRORS) as error:
        raise PackageError.of(
            packages.BROKEN_DEB, f"the package file {path.name} is broken: {error}"
        ) from error


def copy_deb_file(package: Path, is_wanted: Callable[[str], bool], target: Path) -> bool:
    """Copy the first file with a wanted path out of a .deb; tell whether there was one."""
    with open_deb(package) as deb:
        tarball = deb.data()
        for entry in tarball:
            if entry.is_file and is_wanted(entry.path):
                with wrap_os_errors(target), target.open("wb") as file:
                    for chunk in tarball.content():
                        file.write(chunk)
                return True
    return False


class DebFile:
    """An open .deb."""

    def __init__(self, file: IO[bytes], members: dict[str, _ArMember]) -> None:
        self._file = file
        self._members = members

    @property
    def timestamp(self) -> int:
        """Return the time of the newest ar member: no file of the package is newer."""
        return max((m.timestamp for m in self._members.values()), default=0)

    def control(self) -> dict[str, bytes]:
        """Return the files of control.tar by name."""
        files = {}
        budget = _MAX_CONTROL_SIZE
        tarball = DebTarReader(self._open_member("control.tar"))
        for entry in tarball:
            if entry.is_file:
                budget -= entry.size
                if budget < 0:
                    raise ValueError("its control files are too large")
                files[entry.path] = b"".join(tarball.content())
        if "control" not in files:
            raise ValueError("it has no control file")
        return files

    def data(self) -> DebTarReader:
        """Return a reader of data.tar."""
        return DebTarReader(prefetch(self._open_member("data.tar")))

    def _open_member(self, stem: str) -> Iterator[bytes]:
        for name, member in self._members.items():
            if name == stem or name.startswith(stem + "."):
                return _decompress_member(self._file, member, name[len(stem) :])
        raise ValueError(f"it has no {stem}")


def _read_ar_members(file: IO[bytes]) -> Iterator[_ArMember]:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is not an ar archive")
    for _ in range(_MAX_MEMBERS):
        header = file.read(60)
        if not header:
            return
        if len(header) < 60 or header[58:] != b"`\n":
            raise ValueError("a header of the ar archive is wrong")
        digits, time = header[48:58].strip(), header[16:28].strip()
        if not digits.isdigit() or not time.isdigit():
            raise ValueError("a size or time in the ar archive is wrong")
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        member = _ArMember(name, file.tell(), int(digits), int(time))
        yield member
        file.seek(member.offset + member.size + member.size % 2)
    raise ValueError("the ar archive has too many members")


def _decompress_member(file: IO[bytes], member: _ArMember, suffix: str) -> Iterator[bytes]:
    if suffix not in COMPRESSIONS:
        raise ValueError(f"the compression of {member.name} is unknown")
    return fail_above_size(
        decompress(_read_member(file, member), suffix), _MAX_RATIO * member.size + _ALWAYS_ALLOWED
    )


def _read_member(file: IO[bytes], member: _ArMember) -> Iterator[bytes]:
    at, end = member.offset, member.offset + member.size
    while at < end:
        file.seek(at)
        chunk = file.read(min(_CHUNK, end - at))
        if not chunk:
            raise EOFError("it is truncated")
        at += len(chunk)
        yield chunk
