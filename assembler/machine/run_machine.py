"""Run an image in a VM until the VM ends or is ready."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.events import CallbackReporter, LogMessage, WarningEmitted
from assembler.machine.backend import CONSOLE_SOCKET
from assembler.machine.console_io import NullConsole
from assembler.machine.log_watch import LogWatch
from assembler.machine.options import RunOptions
from assembler.machine.qmp import connect_socket
from assembler.machine.result import (
    RunOutcome,
    RunResult,
    console_diagnostics,
    failure_diagnostics,
)
from assembler.machine.session import Session, SessionEnd, SessionOptions
from assembler.machine.started_machine import StartedMachine, started_machine
from assembler.machine.wait_conditions import PortProbe

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.events import Event, Reporter
    from assembler.machine.console_io import ConsoleIO
    from assembler.machine.options import ImageArgument
    from assembler.machine.program import MachineProgram


def run(
    image: ImageArgument,
    options: RunOptions | None = None,
    *,
    progress: Callable[[Event], None] | None = None,
    console: ConsoleIO | None = None,
) -> RunResult:
    """Run an image in a machine, and return how it ended.

    Without conditions to wait for, this blocks until the machine ends. A machine that does not
    become ready is a result with diagnostics; one that cannot start is an error.
    """
    options = options or RunOptions()
    reporter = CallbackReporter.of(progress)
    console = console or NullConsole()
    with started_machine(image, options, reporter, console) as started:
        result = _attend(started, options, reporter, console)
        started.keep = options.detached and result.succeeded and not options.once
    return replace(result, running=started.keep, machine=started.recorded)


def _attend(
    started: StartedMachine, options: RunOptions, reporter: Reporter, console: ConsoleIO
) -> RunResult:
    name = started.machine.name
    if options.detached and not started.condition:
        started.program.resume()
        return RunResult(name, RunOutcome.STARTED)
    end = _session_end(started, options, reporter, console)
    if end.outcome is RunOutcome.STOPPED:
        how = "has powered off" if started.program.ended else "was killed"
        if end.late:
            how = f"did not power off within {options.stop_timeout:g} s; killed"
        started.program.end()
        reporter.emit(LogMessage(f"the machine {how}"))
        return RunResult(name, end.outcome, end.seconds, end.console, end.signal)
    if end.outcome in (RunOutcome.ENDED, RunOutcome.GAVE_UP, RunOutcome.ENDED_EARLY):
        check_exit_code(started.program)
    if end.outcome in (RunOutcome.ENDED, RunOutcome.READY):
        return RunResult(name, end.outcome, end.seconds, end.console)
    diagnostics = failure_diagnostics(
        end.outcome, end.seconds, end.console, started.machine, started.files, end.unmet
    )
    return RunResult(name, end.outcome, end.seconds, end.console, diagnostics=diagnostics)


def _session_end(
    started: StartedMachine, options: RunOptions, reporter: Reporter, console: ConsoleIO
) -> SessionEnd:
    """Attach to the machine's console, and return how the session ended."""
    condition = started.condition
    session_options = SessionOptions(
        condition,
        options.timeout,
        stay=not (options.detached or options.once),
        stop_timeout=options.stop_timeout,
    )

    def report_causes(text: str) -> None:
        for diagnostic in console_diagnostics(text, started.machine, started.files):
            reporter.emit(WarningEmitted(diagnostic))

    with ExitStack() as opened:
        probe = None
        if condition.ports:
            probe = PortProbe(started.machine.network, condition.ports)
            opened.callback(probe.close)
        watch = None
        if condition.log is not None:
            watch = LogWatch(started.program.folder, condition.log)
            opened.callback(watch.close)
        socket = opened.enter_context(connect_socket(started.program.folder, CONSOLE_SOCKET))
        socket.setblocking(True)
        session = Session(started.program, socket, console, session_options, probe, reporter, watch)
        opened.enter_context(console.attached())
        return session.attend(report_causes)


def check_exit_code(program: MachineProgram) -> None:
    """Raise an error if the machine's program has failed."""
    code = program.program.poll()
    if code:
        raise MachineError.of(
            codes.CANNOT_START,
            f"QEMU ended with code {code}",
            *(program.log().splitlines()[-5:] or ["it printed nothing"]),
        )
