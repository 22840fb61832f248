"""The exception family: everything that goes wrong and can be told to a user.

    DolmenError             one or several diagnostics
    ├── ConfigError         image.yml or build.yml is wrong
    ├── ImageError          a reference, manifest or the store's content is wrong
    ├── RegistryError       a registry cannot be reached, refuses or lies
    ├── LayerError          a layer is broken or hostile
    ├── PlanError           the parts do not make a system
    ├── OutputError         an output cannot be written as asked
    ├── PackageError        a package cannot be built
    ├── MachineError        a machine cannot be started or does not come up
    ├── HostError           this machine lacks something: a program, room, a permission
    └── UsageError          the command line does not make sense

Any other exception that leaves the library is a bug in Dolmen.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from assembler.codes import host
from assembler.diagnostics import Diagnostic, Place, render

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from assembler.codes import Code


class DolmenError(Exception):
    """Something the user can be told, with everything known about it."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Hold the diagnostics, at least one of them an error."""
        super().__init__(*diagnostics)
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        """Return the diagnostics as plain text."""
        return "".join(render(d) for d in self.diagnostics).rstrip("\n")

    @classmethod
    def of(cls, code: Code, message: str, *hints: str, place: Place | None = None) -> Self:
        """Make an error of a single diagnostic."""
        return cls([Diagnostic(code, message, place, hints)])

    def at(self, place: Place | None) -> Self:
        """Return the same error with `place` given to diagnostics that have none."""
        return type(self)(
            [
                d
                if d.place
                else Diagnostic(d.code, d.message, place, d.hints, d.remarks, d.severity)
                for d in self.diagnostics
            ]
        )


class ConfigError(DolmenError):
    """image.yml or build.yml is wrong."""


class ImageError(DolmenError):
    """A reference, a manifest or the store's content is wrong."""


class RegistryError(DolmenError):
    """A registry cannot be reached, refuses or lies."""


class LayerError(DolmenError):
    """A layer is broken or hostile."""


class PlanError(DolmenError):
    """The parts do not make a system."""


class OutputError(DolmenError):
    """An output cannot be written as asked."""


class PackageError(DolmenError):
    """A package cannot be built."""


class MachineError(DolmenError):
    """A machine cannot be started or does not come up."""


class HostError(DolmenError):
    """This machine lacks something: a program, room, a permission."""


class UsageError(DolmenError):
    """The command line does not make sense."""


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DISK = (*_NO_ROOM, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR)


def is_of_disk(error: OSError) -> bool:
    """Tell whether the error speaks of a file or a disk, and not of a network."""
    return error.errno in _DISK


def host_error(error: OSError, path: Path | str, doing: str = "write") -> HostError:
    """Say in the user's words why the host refused to `doing` (read, write) at `path`."""
    reason = error.strerror or type(error).__name__
    if error.errno in _NO_ROOM:
        return HostError.of(
            host.DISK_FULL,
            f"cannot {doing} {path}: {reason}",
            "make room there, or choose another place; nothing half-written was left behind",
        )
    code = host.NOT_READABLE if doing.startswith("read") else host.NOT_WRITABLE
    return HostError.of(code, f"cannot {doing} {path}: {reason}")


@contextmanager
def wrap_os_errors(path: Path | str, doing: str = "write") -> Iterator[None]:
    """Turn an OSError inside the block into a HostError about `path`."""
    try:
        yield
    except OSError as error:
        raise host_error(error, error.filename or path, doing) from error
