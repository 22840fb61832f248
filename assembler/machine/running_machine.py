"""Start a machine, and work with it while it runs: wait, read its console, stop it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from assembler.errors import MachineError
from assembler.events import CallbackReporter
from assembler.machine.attended_run import check_exit_code
from assembler.machine.console_io import NullConsole
from assembler.machine.console_log import console_text
from assembler.machine.diagnosis import has_given_up
from assembler.machine.options import RunOptions
from assembler.machine.result import RunOutcome, RunResult, failure_diagnostics
from assembler.machine.started_machine import StartedMachine, started_machine
from assembler.machine.waiting import PortProbe, compile_pattern, parse_wait_condition

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from assembler.events import Event
    from assembler.machine.description import Port
    from assembler.machine.options import ImageArgument

_PAUSE = 0.1
# After a panic the last lines still have to come.
_LAST_WORDS = 1.0


def start(
    image: ImageArgument,
    options: RunOptions | None = None,
    *,
    progress: Callable[[Event], None] | None = None,
) -> RunningMachine:
    """Start an image in a machine, which ends with the block of the returned context manager.

    A detached machine goes on after the block. What `options` say about waiting is for `run`: here
    the methods of the machine wait.
    """
    options = options or RunOptions()
    cleanup = ExitStack()
    started = cleanup.enter_context(
        started_machine(image, options, CallbackReporter.of(progress), NullConsole())
    )
    started.program.go()
    return RunningMachine(started, cleanup, detached=options.detached)


class RunningMachine:
    """A machine that this process has started."""

    def __init__(self, started: StartedMachine, cleanup: ExitStack, *, detached: bool) -> None:
        """Hold the machine, which runs by now."""
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
        """End the machine and remove its files, unless it is detached and all is well."""
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
        """Tell whether the machine runs."""
        return not self._started.program.ended

    def console_text(self) -> str:
        """Return the whole console so far, as plain text."""
        if self._last_text is not None:
            return self._last_text
        return console_text(self._started.program.folder)

    def wait_for_text(self, text: str, timeout: float | None = 300.0) -> None:
        """Wait until a line of the console matches the regular expression `text`."""
        pattern = compile_pattern(text)
        self._wait(lambda: pattern.search(self.console_text()) is not None, timeout)

    def wait_for_port(self, port: int, timeout: float | None = 300.0) -> None:
        """Wait until the guest accepts connections at a published port of this host."""
        network = self._started.machine.network
        condition = parse_wait_condition("", (port,), network)
        probe = PortProbe(network, condition.ports)
        try:
            self._wait(lambda: probe.answered(self._started.program.control), timeout)
        finally:
            probe.close()

    def wait(self, timeout: float | None = None) -> RunResult:
        """Wait until the machine ends by itself."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.running:
            if deadline is not None and time.monotonic() > deadline:
                raise self._failure(RunOutcome.TIMED_OUT)
            time.sleep(_PAUSE)
        check_exit_code(self._started.program)
        return RunResult(self.name, RunOutcome.ENDED, self._seconds, self.console_text())

    def stop(self, timeout: float = 10.0) -> bool:
        """Ask the guest to shut down, and end it after the timeout; tell whether it shut down."""
        deadline = time.monotonic() + timeout
        if self.running and timeout > 0:
            self._started.program.press_power_button()
        while self.running and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        well = not self.running
        self._close(keep=False)
        return well

    def kill(self) -> None:
        """End the machine at once."""
        self._close(keep=False)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._start

    def _wait(self, condition: Callable[[], bool], timeout: float | None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        gave_up_at: float | None = None
        while not condition():
            now = time.monotonic()
            if not self.running:
                # The last words may have come after the condition was checked.
                if condition():
                    return
                check_exit_code(self._started.program)
                raise self._failure(RunOutcome.ENDED_EARLY)
            if gave_up_at is None and has_given_up(self.console_text()):
                gave_up_at = now
            elif gave_up_at is not None and now - gave_up_at > _LAST_WORDS:
                raise self._failure(RunOutcome.GAVE_UP)
            if deadline is not None and now > deadline:
                raise self._failure(RunOutcome.TIMED_OUT)
            time.sleep(_PAUSE)

    def _failure(self, outcome: RunOutcome) -> MachineError:
        return MachineError(
            failure_diagnostics(
                outcome,
                self._seconds,
                self.console_text(),
                self._started.machine,
                self._started.files,
            )
        )

    def _close(self, *, keep: bool) -> None:
        if self._last_text is None:
            self._started.keep = keep
            if not keep:
                self._started.program.end()
                self._last_text = self.console_text()
            self._cleanup.close()
