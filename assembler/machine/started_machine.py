"""Start a VM in a new directory, and clean up when it ends."""

from __future__ import annotations

import os
import shlex
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.events import LogMessage, WarningEmitted
from assembler.machine.description import KernelBoot
from assembler.machine.host_network import close_handles_after, connect_network, release_network
from assembler.machine.option_checks import check_run_options, requested_network
from assembler.machine.options import ImageToBuild, image_label
from assembler.machine.preparation import PreparedMachine, prepare_machine
from assembler.machine.process_identity import Process
from assembler.machine.program import MachineProgram, start_program
from assembler.machine.qemu import Qemu
from assembler.machine.records import MachineDirectory, RecordedMachine, RunRecord
from assembler.machine.ssh import ssh_argv
from assembler.machine.wait_conditions import WaitCondition, parse_wait_condition
from assembler.quantities import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.events import Reporter
    from assembler.machine.backend import Command
    from assembler.machine.console_io import ConsoleIO
    from assembler.machine.description import Machine
    from assembler.machine.options import ImageArgument, RunOptions


@dataclass(slots=True)
class StartedMachine:
    """A machine whose program has started, and is paused until `resume`."""

    prepared: PreparedMachine
    program: MachineProgram
    condition: WaitCondition
    # The YAML files that the image was built from.
    files: tuple[str, ...]
    # Leave the machine running at the end of the block.
    keep: bool = False
    recorded: RecordedMachine | None = None

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
    """Start a machine; at the end of the block, end it and remove its files.

    If the block sets `keep`, the machine keeps running.
    """
    check_run_options(options)
    condition = parse_wait_condition(
        options.wait_for, options.wait_ports, requested_network(options)
    )
    label = image_label(image)
    with _machine_directory(options, label) as own:
        files: tuple[str, ...] = ()
        if isinstance(image, ImageToBuild):
            files = image.files
            path = image.build(own.folder)
        else:
            path = Path(image)
        prepared = prepare_machine(path, options, own.folder)
        with _connected_network(prepared, own) as connected:
            command = Qemu(options.qemu).command(connected.machine)
            _report_start(connected, command, label, reporter)
            with console.opened():
                program = start_program(
                    command,
                    own.folder,
                    die_with_parent=not options.detached,
                    helper_processes=connected.helper_processes,
                    handles=connected.machine.network.handles,
                )
                started = StartedMachine(connected, program, condition, files)
                own.started = started
                try:
                    record = _record(started, label, detached=options.detached)
                    MachineDirectory(options.state).write_record(own.folder, record)
                    started.recorded = RecordedMachine(own.folder, record)
                    yield started
                finally:
                    if not started.keep:
                        program.end()


@contextmanager
def _machine_directory(options: RunOptions, label: str) -> Iterator[_OwnDirectory]:
    machines = MachineDirectory(options.state)
    name = options.name or Path(label).stem or "machine"
    own = _OwnDirectory(machines.new(name, exactly=bool(options.name)))
    try:
        yield own
    finally:
        if not own.keep:
            machines.remove(own.folder)


@contextmanager
def _connected_network(prepared: PreparedMachine, own: _OwnDirectory) -> Iterator[PreparedMachine]:
    """Connect the machine's network for the block."""
    connected = connect_network(prepared.machine.network)
    try:
        with close_handles_after(connected.network):
            yield prepared.with_network(connected)
    finally:
        if not own.keep:
            release_network(connected.cleanup)


def _report_start(
    prepared: PreparedMachine, command: Command, label: str, reporter: Reporter
) -> None:
    """Report the machine's properties, doubts about it, and how to connect to it."""
    for doubt in prepared.warnings:
        reporter.emit(WarningEmitted(doubt))
    for text in _start_messages(prepared, label):
        reporter.emit(LogMessage(text))
    reporter.emit(LogMessage(shlex.join(command.argv), level=1))
    for text in _access_messages(prepared):
        reporter.emit(LogMessage(text))


def _start_messages(prepared: PreparedMachine, label: str) -> Iterator[str]:
    machine = prepared.machine
    sizes = ""
    if isinstance(machine.boot, KernelBoot):
        named = [("kernel", machine.boot.kernel), ("initrd", machine.boot.initrd)]
        sizes = ", ".join(f"{n} {size_text(p.stat().st_size)}" for n, p in named if p)
        sizes = f" ({sizes})"
    size = f"{machine.architecture}, {machine.cpus} cpu, {machine.memory} MB"
    yield f"{label}{sizes} on qemu, {size}, {machine.accelerator}"
    if prepared.slow_because and machine.accelerator == "tcg":
        yield f"emulation without hardware acceleration is slow ({prepared.slow_because})"


def _access_messages(prepared: PreparedMachine) -> Iterator[str]:
    machine = prepared.machine
    for port in machine.network.ports:
        here = f"{port.address}:{port.host}/{port.protocol}"
        yield f"{here} is forwarded to port {port.guest} of the guest"
    yield from prepared.notes
    if prepared.ssh is not None:
        yield f"log in when it is up: dolmen ssh {machine.name}"
        argv = ssh_argv(prepared.ssh.folder, prepared.ssh.port.host)
        yield f"the same with ssh: {shlex.join(argv)}"


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
        helper_processes=started.program.helper_processes.processes,
        cleanup=started.prepared.cleanup,
        ssh=ssh.port.host if ssh else 0,
    )
