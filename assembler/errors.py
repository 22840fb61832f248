"""The exception family: all errors that the library reports to users.

    DolmenError             one or more diagnostics
    ├── ConfigError         image.yml, build.yml or the configuration file is invalid
    ├── ImageError          a reference, a manifest or the content of the store is invalid
    ├── RegistryError       a registry is unreachable, refuses a request or sends wrong content
    ├── LayerError          a layer is broken or hostile
    ├── PlanError           the root filesystem cannot be planned
    ├── OutputError         an output cannot be written
    ├── PackageError        a package cannot be built
    ├── MachineError        a machine does not start or does not come up
    ├── HostError           this host lacks a program, disk space or a permission
    └── UsageError          the options or arguments are invalid

Any other exception that leaves the library is a bug.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from assembler.codes import host
from assembler.diagnostics import Diagnostic, Place, render
from assembler.disk_space import free_space, store_of, temporary_directory
from assembler.quantities import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.codes import Code


class DolmenError(Exception):
    """An error for the user: one or more diagnostics."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Store the diagnostics; at least one is an error."""
        super().__init__(*diagnostics)
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        """Return the diagnostics as plain text."""
        return "".join(render(d) for d in self.diagnostics).rstrip("\n")

    @classmethod
    def of(cls, code: Code, message: str, *hints: str, place: Place | None = None) -> Self:
        """Return an exception with a single diagnostic."""
        return cls([Diagnostic(code, message, place, hints)])

    def with_place(self, place: Place | None) -> Self:
        """Return a copy in which diagnostics without a place have `place`."""
        return type(self)(
            [
                d
                if d.place
                else Diagnostic(d.code, d.message, place, d.hints, d.remarks, d.severity)
                for d in self.diagnostics
            ]
        )


class ConfigError(DolmenError):
    """image.yml, build.yml or the configuration file is invalid."""


class ImageError(DolmenError):
    """A reference, a manifest or the content of the store is invalid."""


class RegistryError(DolmenError):
    """A registry is unreachable, refuses a request or sends wrong content."""


class LayerError(DolmenError):
    """A layer is broken or hostile."""


class PlanError(DolmenError):
    """The root filesystem cannot be planned."""


class OutputError(DolmenError):
    """An output cannot be written."""


class PackageError(DolmenError):
    """A package cannot be built."""


class MachineError(DolmenError):
    """A machine does not start or does not come up."""

    # The exit status of a shell for a command that the guest has not started.
    status = 1


class HostError(DolmenError):
    """This host lacks a program, disk space or a permission."""


class UsageError(DolmenError):
    """The options or arguments are invalid."""


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DISK_ERRORS = (
    *_DISK_FULL,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
)


def is_disk_error(error: OSError) -> bool:
    """Tell whether the error is about a file or a disk, not about the network."""
    return error.errno in _DISK_ERRORS


def is_full_disk_error(error: OSError) -> bool:
    """Tell whether the error says that a disk or a quota is full."""
    return error.errno in _DISK_FULL


# What to do if the disk of the store has no room.
FULL_STORE_HINTS: tuple[str, ...] = (
    "`dolmen cache clean` frees room in the store, with --all as much as possible",
    "`--cache DIR` puts the store on another disk",
)


def disk_full_error(message: str, path: Path, place: Place | None = None) -> HostError:
    """Return the error for a full disk: what failed, the room that is left, and what to do."""
    store = store_of(path)
    free = free_space(path)
    left = "" if free is None else f" ({size_text(free)} free)"
    temporary = temporary_directory()
    if store is not None:
        message += f"\nthe disk of the store {store} is full{left}"
        hints = FULL_STORE_HINTS
    elif path.is_absolute() and path.is_relative_to(temporary):
        message += f"\nthe disk of the temporary directory {temporary} is full{left}"
        hints = ("free disk space there, or set TMPDIR to another directory",)
    elif path.parent != path and os.path.lexists(path.parent):
        message += f"\nthe disk of {path.parent} is full{left}"
        hints = (
            "free disk space there, or choose another directory; no partial file was left behind",
        )
    else:
        hints = ("free disk space there; no partial file was left behind",)
    return HostError.of(host.DISK_FULL, message, *hints, place=place)


def host_error(error: OSError, path: Path | str, action: str = "write") -> HostError:
    """Return the error for a failed `action` (a verb such as read or write) on `path`."""
    reason = error.strerror or type(error).__name__
    if is_full_disk_error(error):
        message = f"cannot {action} {path}: {reason}"
        if isinstance(path, str) and not (Path(path).is_absolute() or os.path.lexists(path)):
            # Words such as "standard output".
            return HostError.of(host.DISK_FULL, message, "free disk space there")
        return disk_full_error(message, Path(path))
    code = host.NOT_READABLE if action.startswith("read") else host.NOT_WRITABLE
    return HostError.of(code, f"cannot {action} {path}: {reason}")


@contextmanager
def wrap_os_errors(path: Path | str, action: str = "write") -> Iterator[None]:
    """Raise an OSError of the block as a HostError about `path`."""
    try:
        yield
    except OSError as error:
        raise host_error(error, error.filename or path, action) from error
