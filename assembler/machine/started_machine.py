"""Start a machine in a directory of its own, and clean up after it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.events import LogMessage
from assembler.machine.description import KernelBoot
from assembler.machine.networks import closing_handles, connect_network, release_network
from assembler.machine.option_checks import check_run_options, requested_network
from assembler.machine.options import ImageToBuild, image_label
from assembler.machine.preparation import PreparedMachine, prepare_machine
from assembler.machine.processes import Process
from assembler.machine.program import MachineProgram, start_program
from assembler.machine.qemu import Qemu
from assembler.machine.records import MachineDirectory, RunRecord
from assembler.machine.ssh import ssh_words
from assembler.machine.waiting import WaitCondition, parse_wait_condition
from assembler.quantities import size_text

if TYPE_CHECKING:
    from assembler.events import Reporter
    from assembler.machine.backend import Command
    from assembler.machine.console_io import ConsoleIO
    from assembler.machine.description import Machine
    from assembler.machine.options import ImageArgument, RunOptions


@dataclass(slots=True)
class StartedMachine:
    """A machine whose program has started, and waits for `go`."""

    prepared: PreparedMachine
    program: MachineProgram
    condition: WaitCondition
    # The YAML files that the image was built from.
    files: tuple[str, ...]
    # Leave the machine running at the end of the block.
    keep: bool = False

    @property
    def machine(self) -> Machine:
        """Return the description of the machine."""
        return self.prepared.machine


@dataclass(slots=True)
class _OwnDirectory:
    """A machine's directory, and the started machine that may be left running in it."""

    folder: Path
    started: StartedMachine | None = None

    @property
    def keep(self) -> bool:
        return self.started is not None and self.started.keep


@contextmanager
def started_machine(
    image: ImageArgument, options: RunOptions, reporter: Reporter, console: ConsoleIO
) -> Iterator[StartedMachine]:
    """Start a machine for the block; at its end, end the machine and remove its files.

    Nothing is ended or removed if the block sets `keep`.
    """
    check_run_options(options)
    condition = parse_wait_condition(
        options.wait_for, options.wait_ports, requested_network(options)
    )
    label = image_label(image)
    with _own_directory(options, label) as own:
        files: tuple[str, ...] = ()
        if isinstance(image, ImageToBuild):
            files = image.files
            path = image.build(own.folder)
        else:
            path = Path(image)
        prepared = prepare_machine(path, options, own.folder)
        with _connected(prepared, own) as connected:
            command = Qemu(options.qemu).command(connected.machine)
            _introduce(connected, command, label, reporter)
            with console.opened():
                program = start_program(
                    command,
                    own.folder,
                    with_us=not options.detached,
                    companions=connected.companions,
                    handles=connected.machine.network.handles,
                )
                started = StartedMachine(connected, program, condition, files)
                own.started = started
                try:
                    record = _record(started, label, detached=options.detached)
                    MachineDirectory(options.state).keep(own.folder, record)
                    yield started
                finally:
                    if not started.keep:
                        program.end()


@contextmanager
def _own_directory(options: RunOptions, label: str) -> Iterator[_OwnDirectory]:
    machines = MachineDirectory(options.state)
    name = options.name or Path(label).stem or "machine"
    own = _OwnDirectory(machines.new(name, exactly=bool(options.name)))
    try:
        yield own
    finally:
        if not own.keep:
            machines.remove(own.folder)


@contextmanager
def _connected(prepared: PreparedMachine, own: _OwnDirectory) -> Iterator[PreparedMachine]:
    """Connect the machine's network for the block."""
    connected = connect_network(prepared.machine.network)
    try:
        with closing_handles(connected.network):
            yield prepared.with_network(connected)
    finally:
        if not own.keep:
            release_network(connected.cleanup)


def _introduce(prepared: PreparedMachine, command: Command, label: str, reporter: Reporter) -> None:
    """Report what is about to run, and how to reach it."""
    for text in _introduction(prepared, label):
        reporter.emit(LogMessage(text))
    reporter.emit(LogMessage(shlex.join(command.words), level=1))
    for text in _access(prepared):
        reporter.emit(LogMessage(text))


def _introduction(prepared: PreparedMachine, label: str) -> Iterator[str]:
    machine = prepared.machine
    sizes = ""
    if isinstance(machine.boot, KernelBoot):
        named = [("kernel", machine.boot.kernel), ("initrd", machine.boot.initrd)]
        sizes = ", ".join(f"{n} {size_text(p.stat().st_size)}" for n, p in named if p)
        sizes = f" ({sizes})"
    what = f"{machine.architecture}, {machine.cpus} cpu, {machine.memory} MB"
    yield f"{label}{sizes} on qemu, {what}, {machine.accelerator}"
    if prepared.slow_because and machine.accelerator == "tcg":
        yield f"every instruction is emulated, which is slow ({prepared.slow_because})"


def _access(prepared: PreparedMachine) -> Iterator[str]:
    machine = prepared.machine
    for port in machine.network.ports:
        yield f"{port.address}:{port.host}/{port.protocol} is port {port.guest} of it"
    yield from prepared.notes
    if prepared.ssh is not None:
        yield f"by ssh, as soon as it is up: dolmen ssh {machine.name}"
        words = ssh_words(prepared.ssh.folder, prepared.ssh.port.host)
        yield f"which is {shlex.join(words)}"


def _record(started: StartedMachine, label: str, *, detached: bool) -> RunRecord:
    machine = started.machine
    ssh = started.prepared.ssh
    return RunRecord(
        name=machine.name,
        image=str(Path(label).absolute()),
        process=started.program.process,
        owner=None if detached else Process.of(os.getpid()),
        architecture=machine.architecture,
        accelerator=machine.accelerator,
        memory=machine.memory,
        cpus=machine.cpus,
        ports=tuple(str(p) for p in machine.network.ports),
        started=int(time.time()),
        companions=started.program.companions.processes,
        cleanup=started.prepared.cleanup,
        ssh=ssh.port.host if ssh else 0,
    )
