"""Start a VM as a context manager: wait for it, read its console, stop it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from assembler.errors import MachineError
from assembler.events import CallbackReporter
from assembler.machine.console_diagnosis import find_crash_loop, has_given_up
from assembler.machine.console_io import NullConsole
from assembler.machine.console_log import console_text
from assembler.machine.log_watch import LogPattern, LogWatch
from assembler.machine.options import STOP_TIMEOUT, RunOptions
from assembler.machine.result import RunOutcome, RunResult, failure_diagnostics
from assembler.machine.run_machine import check_exit_code
from assembler.machine.started_machine import StartedMachine, started_machine
from assembler.machine.wait_conditions import (
    PortProbe,
    WaitCondition,
    compile_pattern,
    parse_wait_condition,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from assembler.events import Event
    from assembler.machine.description import Port
    from assembler.machine.options import ImageArgument

_POLL_INTERVAL = 0.1
# Seconds to wait for the last lines after a panic.
_PANIC_DELAY = 1.0


def start(
    image: ImageArgument,
    options: RunOptions | None = None,
    *,
    progress: Callable[[Event], None] | None = None,
) -> RunningMachine:
    """Start an image in a machine; the returned context manager ends it.

    A detached machine keeps running after the block. `wait_for`, `wait_ports`, `timeout` and `once`
    of the options apply to `run` only: here the methods of the machine wait.
    """
    options = options or RunOptions()
    cleanup = ExitStack()
    started = cleanup.enter_context(
        started_machine(image, options, CallbackReporter.of(progress), NullConsole())
    )
    started.program.resume()
    return RunningMachine(started, cleanup, detached=options.detached)


class RunningMachine:
    """A machine that this process has started."""

    def __init__(self, started: StartedMachine, cleanup: ExitStack, *, detached: bool) -> None:
        """Hold the running machine."""
        self._started = started
        self._cleanup = cleanup
        self._detached = detached
        self._start = time.monotonic()
        # The console's text of a machine that has been removed.
        self._last_text: str | None = None

    def __enter__(self) -> Self:
        """Return the machine."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """End the machine and remove its files; a detached one only if the block has failed."""
        self._close(keep=self._detached and error is None and self.running)

    @property
    def name(self) -> str:
        """Return the name of the machine."""
        return self._started.machine.name

    @property
    def ports(self) -> tuple[Port, ...]:
        """Return the published ports."""
        return self._started.machine.network.ports

    @property
    def address(self) -> str:
        """Return the address of this host that published ports listen at."""
        return self.ports[0].reachable_address if self.ports else "127.0.0.1"

    @property
    def running(self) -> bool:
        """Tell whether the machine is running."""
        return not self._started.program.ended

    def console_text(self) -> str:
        """Return the whole console so far, as plain text."""
        if self._last_text is not None:
            return self._last_text
        return console_text(self._started.program.folder)

    def wait_for_text(self, text: str, timeout: float | None = 300.0) -> None:
        """Wait until a line of the console matches the regular expression `text`."""
        pattern = compile_pattern(text)
        condition = WaitCondition(pattern)
        self._wait(lambda: not self._unmet(condition), timeout, lambda: self._unmet(condition))

    def wait_for_log(self, service: str, text: str, timeout: float | None = 300.0) -> None:
        """Wait until a line of a service matches `text`; the image has to allow the agent."""
        watch = LogWatch(self._started.program.folder, LogPattern(service, compile_pattern(text)))
        try:
            self._wait(
                lambda: watch.matched() or bool(watch.failure), timeout, lambda: (watch.unmet,)
            )
            if watch.failure:
                raise self._failure(RunOutcome.TIMED_OUT, (watch.unmet,))
        finally:
            watch.close()

    def wait_for_port(self, port: int, timeout: float | None = 300.0) -> None:
        """Wait until the guest accepts connections at a published port of this host."""
        network = self._started.machine.network
        condition = parse_wait_condition("", (port,), network)
        probe = PortProbe(network, condition.ports)
        try:
            qmp = self._started.program.qmp
            self._wait(lambda: probe.answered(qmp), timeout, lambda: condition.unmet("", probe))
        finally:
            probe.close()

    def wait(self, timeout: float | None = None) -> RunResult:
        """Wait until the machine ends by itself."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.running:
            if deadline is not None and time.monotonic() > deadline:
                raise self._failure(RunOutcome.TIMED_OUT)
            time.sleep(_POLL_INTERVAL)
        check_exit_code(self._started.program)
        return RunResult(self.name, RunOutcome.ENDED, self._seconds, self.console_text())

    def stop(self, timeout: float = STOP_TIMEOUT) -> bool:
        """Ask the guest to shut down, and end it after the timeout; tell whether it shut down."""
        deadline = time.monotonic() + timeout
        if self.running and timeout > 0:
            self._started.program.press_power_button()
        while self.running and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL)
        shut_down = not self.running
        self._close(keep=False)
        return shut_down

    def kill(self) -> None:
        """End the machine at once."""
        self._close(keep=False)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._start

    def _unmet(self, condition: WaitCondition) -> tuple[str, ...]:
        return condition.unmet(self.console_text(), None)

    def _wait(
        self,
        condition: Callable[[], bool],
        timeout: float | None,
        unmet: Callable[[], tuple[str, ...]],
    ) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        gave_up_at: float | None = None
        while not condition():
            now = time.monotonic()
            if not self.running:
                # The last output may have come after the condition was checked.
                if condition():
                    return
                check_exit_code(self._started.program)
                raise self._failure(RunOutcome.ENDED_EARLY)
            if gave_up_at is None and has_given_up(self.console_text()):
                gave_up_at = now
            elif gave_up_at is not None and now - gave_up_at > _PANIC_DELAY:
                raise self._failure(RunOutcome.GAVE_UP)
            if find_crash_loop(self.console_text()) is not None:
                raise self._failure(RunOutcome.CRASH_LOOP)
            if deadline is not None and now > deadline:
                raise self._failure(RunOutcome.TIMED_OUT, unmet())
            time.sleep(_POLL_INTERVAL)

    def _failure(self, outcome: RunOutcome, unmet: tuple[str, ...] = ()) -> MachineError:
        return MachineError(
            failure_diagnostics(
                outcome,
                self._seconds,
                self.console_text(),
                self._started.machine,
                self._started.files,
                unmet,
            )
        )

    def _close(self, *, keep: bool) -> None:
        if self._last_text is None:
            self._started.keep = keep
            if not keep:
                self._started.program.end()
                self._last_text = self.console_text()
            self._cleanup.close()
