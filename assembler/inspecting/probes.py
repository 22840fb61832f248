"""The kinds of data that are known, in the order in which they are looked for."""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assembler.codes import output as codes
from assembler.errors import DolmenError, OutputError, wrap_os_errors
from assembler.inspecting.found import Found
from assembler.inspecting.source import BrokenError, FileSource, Source

_DEEPEST = 8
HEAD = 0x9000


@dataclass(frozen=True, slots=True)
class Probe:
    """A kind of data: how it is recognised, and what looks into it."""

    kind: str
    # By the first bytes, and all of it where these do not say.
    fits: Callable[[bytes, Source], bool]
    look: Callable[[Source, Found, Look], None]


@dataclass(frozen=True, slots=True)
class Look:
    """Looks at what lies in something else, down to some depth."""

    depth: int = 0

    def at(self, source: Source) -> Found | None:
        """Return what a part is, or nothing if it is of no known kind."""
        return None if self.depth >= _DEEPEST else found_in(source, Look(self.depth + 1))


# Modules with a PROBES. What may lie in front of something else comes first.
_MODULES = (
    *("isos", "containers", "programs", "disks", "volumes", "filesystems", "streams", "texts"),
)


def inspect(path: Path) -> Found:
    """Return what a file is and holds."""
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        found = found_in(FileSource(file.fileno(), size), Look())
    if found is None:
        raise OutputError.of(
            codes.NOT_UNDERSTOOD,
            f"{path} is of no kind that is known here" if size else f"{path} is empty",
            "known are disks and their containers, ISOs, programs for UEFI, kernels, initrds, "
            "archives, and FAT, squashfs and erofs filesystems",
        )
    return found


def found_in(source: Source, look: Look) -> Found | None:
    """Return what a source is and holds, or nothing if it is of no known kind."""
    head = source.read(0, HEAD)
    for name in _MODULES:
        probes: tuple[Probe, ...] = importlib.import_module(f"assembler.inspecting.{name}").PROBES
        for probe in probes:
            if probe.fits(head, source):
                found = Found(probe.kind, source.size)
                try:
                    probe.look(source, found, look)
                except BrokenError as error:
                    found.problem = str(error)
                except DolmenError as error:
                    found.problem = error.diagnostics[0].message
                except (struct.error, ValueError, IndexError, OverflowError) as error:
                    found.problem = f"it is broken: {error}"
                return found
    return None
