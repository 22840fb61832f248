"""From the options of `dolmen run qemu` to a machine that ran, and to the exit code."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.machine.backend import CONSOLE_SOCKET, Backend
from assembler.machine.control import connect
from assembler.machine.networks import closing_handles, connected, release
from assembler.machine.processes import Process
from assembler.machine.qemu import Qemu
from assembler.machine.records import Machines, Record, state_directory
from assembler.machine.running import Running, start
from assembler.machine.waiting import PortProbe, Wanted, wanted
from dolmen.console import say
from dolmen.run.asked import RunOptions, check, network
from dolmen.run.describing import Prepared, describe
from dolmen.run.interrupts import Interrupts, watched
from dolmen.run.session import End, Session, SessionOptions
from dolmen.run.telling import RunReporter
from dolmen.run.terminal import clean, raw

if TYPE_CHECKING:
    from dolmen.settings import Settings

_PREFIX = "built"
_DISK_SIZE = 1 << 30


@dataclass(frozen=True, slots=True)
class Supply:
    """How a YAML file is built before it is run."""

    offline: bool = False
    pull: bool = False
    docker: bool = False
    insecure: tuple[str, ...] = ()
    registry_creds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stay:
    """How long to be with the machine, and what for."""

    detached: bool = False
    wait_for: str = ""
    wait_ports: tuple[int, ...] = ()
    timeout: float | None = None
    # End the machine as soon as what was waited for has come.
    once: bool = False
    patience: float = 10.0


def run(settings: Settings, asked: RunOptions, supply: Supply, stay: Stay) -> int:
    """Run the machine, and return the exit code."""
    check(asked)
    goal = wanted(stay.wait_for, stay.wait_ports, network(asked))
    machines = Machines(state_directory(os.environ))
    with _folder(machines, asked) as place:
        path = Path(asked.paths[-1])
        if asked.yaml_files:
            path = _build(settings, asked, supply, place.folder)
        with _connected(describe(asked, path, place.folder), place) as prepared:
            teller = RunReporter(settings, prepared.machine, asked)
            code = _run(machines, prepared, Qemu(asked.qemu), goal, stay, teller, place)
        if place.keep:
            say(place.folder.name)
        return code


def _run(
    machines: Machines,
    prepared: Prepared,
    backend: Backend,
    goal: Wanted,
    stay: Stay,
    teller: RunReporter,
    place: _Place,
) -> int:
    command = backend.command(prepared.machine)
    teller.introduce(prepared, command, detached=stay.detached)
    with watched() as interrupts:
        running = start(
            command,
            place.folder,
            with_us=not stay.detached,
            beside=prepared.beside,
            handles=prepared.machine.network.handles,
        )
        try:
            code = _attend(machines, prepared, running, goal, stay, teller, interrupts)
            place.keep = stay.detached and code == 0 and not stay.once
        finally:
            if not place.keep:
                running.end()
    return code


@dataclass(slots=True)
class _Place:
    """A machine's directory, and whether it is needed any longer."""

    folder: Path
    keep: bool = False


@contextmanager
def _connected(prepared: Prepared, place: _Place) -> Iterator[Prepared]:
    """Give the machine with a network that is ready for it, which is undone with the machine."""
    ready = connected(prepared.machine.network)
    try:
        with closing_handles(ready.network):
            yield prepared.with_network(ready)
    finally:
        if not place.keep:
            release(ready.undo)


@contextmanager
def _folder(machines: Machines, asked: RunOptions) -> Iterator[_Place]:
    place = _Place(machines.new(asked.called, exactly=bool(asked.name)))
    try:
        yield place
    finally:
        if not place.keep:
            machines.remove(place.folder)


def _build(settings: Settings, asked: RunOptions, supply: Supply, folder: Path) -> Path:
    from assembler.build import BuildOptions, build  # noqa: PLC0415 - not for a finished image
    from dolmen.console import progress  # noqa: PLC0415
    from dolmen.package_options import environment_options  # noqa: PLC0415
    from dolmen.sources import image_sources  # noqa: PLC0415

    options = BuildOptions(
        formats=("kernel+squashfs",) if asked.squashfs else (),
        name=_PREFIX,
        directory=folder,
        architecture=asked.target,
        disk_size=_DISK_SIZE,
        sources=image_sources(
            settings,
            offline=supply.offline,
            pull=supply.pull,
            docker=supply.docker,
            insecure=supply.insecure,
            registry_creds=supply.registry_creds,
        ),
        packages=environment_options,
        sbom=None,
        remember=False,
    )
    with progress(settings) as reporter:
        build(asked.yaml_files, options, progress=reporter.emit)
    return folder / _PREFIX


def _attend(
    machines: Machines,
    prepared: Prepared,
    running: Running,
    goal: Wanted,
    stay: Stay,
    teller: RunReporter,
    interrupts: Interrupts,
) -> int:
    machine = prepared.machine
    machines.keep(running.folder, _record(prepared, running, teller, detached=stay.detached))
    if stay.detached and not goal:
        running.go()
        return 0
    probe = PortProbe(machine.network, goal.ports) if goal.ports else None
    manners = SessionOptions(
        goal,
        stay.timeout,
        show=not stay.detached,
        stay=not (stay.detached or stay.once),
        patience=stay.patience,
        say=teller.note,
    )
    with ExitStack() as opened:
        if probe is not None:
            opened.callback(probe.close)
        console = opened.enter_context(connect(running.folder, CONSOLE_SOCKET))
        console.setblocking(True)
        session = Session(running, console, manners, interrupts, probe)
        if not manners.show:
            outcome = session.attend(teller.given_up)
        else:
            with raw() as is_terminal:
                teller.is_raw = is_terminal
                try:
                    outcome = session.attend(teller.given_up)
                finally:
                    teller.is_raw = False
                    clean()
    if outcome.end is End.STOPPED:
        running.end()
        teller.note("the machine has ended")
    return teller.tell(outcome, running)


def _record(prepared: Prepared, running: Running, teller: RunReporter, *, detached: bool) -> Record:
    machine = prepared.machine
    return Record(
        name=machine.name,
        image=teller.image,
        process=running.process,
        owner=None if detached else Process.of(os.getpid()),
        architecture=machine.architecture,
        accelerator=machine.accelerator,
        memory=machine.memory,
        cpus=machine.cpus,
        ports=tuple(str(p) for p in machine.network.ports),
        started=int(time.time()),
        beside=running.companions.processes,
        undo=prepared.undo,
        ssh=prepared.ssh.port.host if prepared.ssh else 0,
    )
