"""Machines that are running or were: a directory for each, and who is still alive.

A machine's directory is `machines/NAME` below the state directory. It holds the record, the sockets
and the console's log. A record that belongs to no living process is stale: a process is known by
its number and the time it started, as numbers are used again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from assembler.codes import machine as codes
from assembler.errors import MachineError, UsageError, wrap_os_errors
from assembler.files import atomic_write
from assembler.machine.companions import end_left
from assembler.machine.networks import NOTHING, Undo, release
from assembler.machine.processes import Process

_RECORD = "record.json"
_CLAIM = "prepared-by.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_MOST = 1000


def state_directory(env: Mapping[str, str]) -> Path:
    """Return where machines are kept."""
    base = env.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "dolmen"


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a machine."""

    name: str
    image: str
    process: Process
    # The process of `dolmen run` that has the console, if it does not run detached.
    owner: Process | None
    architecture: str
    accelerator: str
    memory: int
    cpus: int
    ports: tuple[str, ...]
    # Seconds since 1970.
    started: int
    # The programs beside the machine's own.
    beside: tuple[Process, ...] = ()
    # The port of this machine that leads to the guest's ssh, if there is one.
    ssh: int = 0
    # What was made of this machine's network for it.
    undo: Undo = NOTHING

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `to_json` has given."""
        owner = data.pop("owner")
        return cls(
            process=Process(**data.pop("process")),
            owner=Process(**owner) if owner else None,
            ports=tuple(data.pop("ports")),
            undo=Undo(**data.pop("undo", {})),
            beside=tuple(Process(**p) for p in data.pop("beside", ())),
            **data,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def _claimant_lives(claim: Path) -> bool:
    try:
        return Process(**json.loads(claim.read_bytes())).alive
    except (OSError, ValueError, TypeError):
        # It is just being written, or removed by somebody else.
        return True


@dataclass(frozen=True, slots=True)
class Entry:
    """A machine's directory, and its record."""

    folder: Path
    record: Record

    @property
    def alive(self) -> bool:
        """Tell whether the machine is running."""
        return self.record.process.alive


@dataclass(frozen=True, slots=True)
class Machines:
    """All machines of a user."""

    root: Path

    @property
    def folder(self) -> Path:
        """Return where their directories are."""
        return self.root / "machines"

    def new(self, name: str, *, exactly: bool) -> Path:
        """Make a directory for a machine; another name is found if this one is taken."""
        if not _NAME.fullmatch(name):
            if exactly:
                raise UsageError.of(
                    codes.MACHINE_NOT_FOUND,
                    f"{name!r} cannot be a machine's name",
                    "letters, digits, '.', '_' and '-' can be in it, 63 of them at most",
                )
            name = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:50] or "machine"
        self.forget_stale()
        with wrap_os_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for number in range(1, _MOST):
                folder = self.folder / (name if number == 1 else f"{name}-{number}")
                try:
                    folder.mkdir(mode=0o700)
                except FileExistsError:
                    if exactly:
                        break
                    continue
                self._claim(folder)
                return folder
        raise MachineError.of(
            codes.CANNOT_START,
            f"there is a machine {name} already",
            f"end it: dolmen stop {name}",
            "or choose another name: --name",
        )

    def keep(self, folder: Path, record: Record) -> None:
        """Write a machine's record."""
        with atomic_write(folder / _RECORD, mode=0o600, durable=False) as file:
            file.write(json.dumps(record.to_json()).encode())

    def remove(self, folder: Path) -> None:
        """Forget a machine, and all that is in its directory."""
        shutil.rmtree(folder, ignore_errors=True)

    def settle(self, entry: Entry) -> None:
        """End what was beside a machine that has ended, and undo what was made for it."""
        record = entry.record
        if record.beside or record.undo != NOTHING:
            end_left(record.beside)
            release(record.undo)
            self.keep(entry.folder, replace(record, beside=(), undo=NOTHING))

    def all(self) -> Iterator[Entry]:
        """Yield every machine that has a record."""
        for path in sorted(self.folder.glob(f"*/{_RECORD}")):
            entry = self._read(path)
            if entry is not None:
                yield entry

    def find(self, name: str = "") -> Entry:
        """Return the machine of a name, or the only one."""
        known = list(self.all())
        if name:
            found = [e for e in known if e.record.name == name]
        else:
            found = [e for e in known if e.alive] or known
        if len(found) == 1:
            return found[0]
        names = ", ".join(e.record.name for e in known)
        if name or not known:
            what = f"there is no machine {name}" if name else "there is no machine"
            raise MachineError.of(
                codes.MACHINE_NOT_FOUND, what, f"there are: {names}" if names else "none is running"
            )
        raise MachineError.of(
            codes.MACHINE_NOT_FOUND, "there are several machines", f"name one of: {names}"
        )

    def forget_stale(self) -> None:
        """Remove what a run that had to clean up after itself could not, because it was killed."""
        for entry in self.all():
            owner = entry.record.owner
            if entry.alive or (owner is not None and owner.alive):
                continue
            self.settle(entry)
            if owner is not None:
                self.remove(entry.folder)
        for claim in self.folder.glob(f"*/{_CLAIM}"):
            if not (claim.parent / _RECORD).exists() and not _claimant_lives(claim):
                self.remove(claim.parent)

    def _claim(self, folder: Path) -> None:
        """Say who prepares a machine there, as long as there is no record."""
        claim = Process.of(os.getpid())
        (folder / _CLAIM).write_text(json.dumps(asdict(claim)))

    def _read(self, path: Path) -> Entry | None:
        try:
            return Entry(path.parent, Record.from_json(json.loads(path.read_bytes())))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            # Half of a directory that is being removed, or of another version.
            return None
