"""The run records of machines, in a directory for each machine.

A machine's directory is `machines/NAME` below the state directory. It contains the run record, the
sockets and the console's log. A record is stale if its processes have ended.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from assembler.codes import machine as codes
from assembler.errors import MachineError, UsageError, wrap_os_errors
from assembler.files import atomic_write
from assembler.machine.helper_processes import end_helper_processes
from assembler.machine.host_network import NO_CLEANUP, NetworkCleanup, release_network
from assembler.machine.process_identity import Process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_RECORD_FILE = "record.json"
_CLAIM_FILE = "prepared-by.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_MAX_SUFFIX = 1000
# The keys in JSON that differ from the names of fields.
_JSON_KEYS = {"helper_processes": "beside", "cleanup": "undo"}


def default_state() -> Path:
    """Return the default directory of machines."""
    return Path.home() / ".local" / "state" / "dolmen"


def state_directory(env: Mapping[str, str]) -> Path:
    """Return the directory of machines: XDG_STATE_HOME of the environment, or the default."""
    base = env.get("XDG_STATE_HOME")
    return Path(base).expanduser() / "dolmen" if base else default_state()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The file that describes a machine that runs or has ended."""

    name: str
    image: str
    process: Process
    # The process of `dolmen run` that is attached to the console; None for a detached machine.
    owner: Process | None
    architecture: str
    accelerator: str
    memory: int
    cpus: int
    ports: tuple[str, ...]
    # Seconds since 1970.
    started: int
    # Programs such as virtiofsd and swtpm.
    helper_processes: tuple[Process, ...] = ()
    # The port of this host that is forwarded to the guest's ssh, or 0.
    ssh: int = 0
    # The changes to this host's network to undo after the machine.
    cleanup: NetworkCleanup = NO_CLEANUP

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the record that `to_json` has written."""
        owner = data.pop("owner")
        return cls(
            process=Process(**data.pop("process")),
            owner=Process(**owner) if owner else None,
            ports=tuple(data.pop("ports")),
            cleanup=NetworkCleanup(**data.pop("undo", {})),
            helper_processes=tuple(Process(**p) for p in data.pop("beside", ())),
            **data,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON."""
        return {_JSON_KEYS.get(name, name): value for name, value in asdict(self).items()}


def _is_claimed(claim: Path) -> bool:
    try:
        return Process(**json.loads(claim.read_bytes())).alive
    except (OSError, ValueError, TypeError):
        # Another process is writing or removing the file.
        return True


@dataclass(frozen=True, slots=True)
class RecordedMachine:
    """A machine's directory and its run record."""

    folder: Path
    record: RunRecord

    @property
    def alive(self) -> bool:
        """Tell whether the machine is running."""
        return self.record.process.alive

    def as_json(self) -> dict[str, Any]:
        """Return the machine as JSON for scripts."""
        return {**self.record.to_json(), "running": self.alive, "folder": str(self.folder)}


@dataclass(frozen=True, slots=True)
class MachineDirectory:
    """The directory of all machines of a user."""

    root: Path

    @classmethod
    def of(cls, machine: RecordedMachine) -> Self:
        """Return the directory that contains a machine."""
        return cls(machine.folder.parents[1])

    @property
    def folder(self) -> Path:
        """Return the parent of the machines' directories."""
        return self.root / "machines"

    def new(self, name: str, *, exactly: bool) -> Path:
        """Create a directory for a machine; unless `exactly`, a taken name gets a number."""
        if not _NAME.fullmatch(name):
            if exactly:
                raise UsageError.of(
                    codes.MACHINE_NOT_FOUND,
                    f"{name!r} is not a valid name of a machine",
                    "at most 63 letters, digits, '.', '_' and '-'",
                )
            name = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:50] or "machine"
        self.remove_stale()
        with wrap_os_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for number in range(1, _MAX_SUFFIX):
                folder = self.folder / (name if number == 1 else f"{name}-{number}")
                try:
                    folder.mkdir(mode=0o700)
                except FileExistsError:
                    if exactly:
                        break
                    continue
                try:
                    self._claim(folder)
                except BaseException:
                    self.remove(folder)
                    raise
                return folder
        raise MachineError.of(
            codes.CANNOT_START,
            f"machine {name} already exists",
            f"stop it: dolmen stop {name}",
            "or choose another name: --name",
        )

    def write_record(self, folder: Path, record: RunRecord) -> None:
        """Write a machine's run record."""
        with atomic_write(folder / _RECORD_FILE, mode=0o600, durable=False) as file:
            file.write(json.dumps(record.to_json()).encode())

    def remove(self, folder: Path) -> None:
        """Remove a machine's directory."""
        shutil.rmtree(folder, ignore_errors=True)

    def release_resources(self, machine: RecordedMachine) -> None:
        """End the helper processes of a machine that has ended, and release its network."""
        record = machine.record
        if record.helper_processes or record.cleanup != NO_CLEANUP:
            end_helper_processes(record.helper_processes)
            release_network(record.cleanup)
            self.write_record(
                machine.folder, replace(record, helper_processes=(), cleanup=NO_CLEANUP)
            )

    def all(self) -> Iterator[RecordedMachine]:
        """Yield every machine that has a run record."""
        for path in sorted(self.folder.glob(f"*/{_RECORD_FILE}")):
            machine = self._read(path)
            if machine is not None:
                yield machine

    def find(self, name: str = "") -> RecordedMachine:
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
            problem = f"machine {name} not found" if name else "no machine found"
            raise MachineError.of(
                codes.MACHINE_NOT_FOUND,
                problem,
                f"machines: {names}" if names else "none is running",
            )
        raise MachineError.of(
            codes.MACHINE_NOT_FOUND, "there are several machines", f"name one of: {names}"
        )

    def remove_stale(self) -> None:
        """Remove the files of runs that were killed before they could clean up."""
        for machine in self.all():
            owner = machine.record.owner
            if machine.alive or (owner is not None and owner.alive):
                continue
            self.release_resources(machine)
            if owner is not None:
                self.remove(machine.folder)
        for claim in self.folder.glob(f"*/{_CLAIM_FILE}"):
            if not (claim.parent / _RECORD_FILE).exists() and not _is_claimed(claim):
                self.remove(claim.parent)

    def _claim(self, folder: Path) -> None:
        """Record which process is preparing the machine, until there is a run record."""
        claim = Process.of(os.getpid())
        (folder / _CLAIM_FILE).write_text(json.dumps(asdict(claim)))

    def _read(self, path: Path) -> RecordedMachine | None:
        try:
            return RecordedMachine(path.parent, RunRecord.from_json(json.loads(path.read_bytes())))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            # The directory is being removed, or another version has written the record.
            return None
