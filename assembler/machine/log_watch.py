"""Watch the output of a service in a guest for a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import MachineError
from assembler.machine.agent_frames import FrameKind
from assembler.machine.agent_session import AgentSession
from assembler.machine.console_text import ConsoleBuffer

if TYPE_CHECKING:
    from pathlib import Path

_LOG_CONDITION = re.compile(r"log:([A-Za-z0-9][A-Za-z0-9_.-]*):(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LogPattern:
    """A service, and a regular expression for the lines that it prints."""

    service: str
    pattern: re.Pattern[str]

    def __str__(self) -> str:
        """Return the condition in words."""
        return f"no line of the service {self.service} matched {self.pattern.pattern!r}"


def split_log_condition(text: str) -> tuple[str, str]:
    """Return the service and the pattern of `log:SERVICE:REGEX`; no service for other texts."""
    found = _LOG_CONDITION.fullmatch(text)
    return (found[1], found[2]) if found else ("", text)


class LogWatch:
    """Follows the output of a service, without blocking."""

    def __init__(self, folder: Path, wanted: LogPattern) -> None:
        """Connect to the agent of the machine in `folder`, which may still be starting."""
        self._wanted = wanted
        self._buffer = ConsoleBuffer()
        self._matched = False
        # Why no more output will come.
        self.failure = ""
        request = {"do": "logs", "service": wanted.service, "follow": True}
        self._session = AgentSession(folder, request)

    def matched(self) -> bool:
        """Read what has arrived; tell whether a line has matched by now."""
        while not self._matched and not self.failure:
            try:
                frames = self._session.receive()
            except MachineError as error:
                self.failure = error.diagnostics[0].message
                break
            if not frames:
                if self._session.status is not None:
                    self.failure = "its log ended"
                break
            for frame in frames:
                if frame.kind == FrameKind.OUTPUT:
                    self._buffer.feed(frame.payload)
            self._matched = bool(self._wanted.pattern.search(self._buffer.text()))
        return self._matched

    @property
    def unmet(self) -> str:
        """Return in words what is missing."""
        if self.failure:
            return f"{self._wanted}: {self.failure}"
        if not self._session.is_open:
            return (
                f"{self._wanted}: the guest's agent has not answered; "
                "dolmen.agent in the kernel's command line allows it"
            )
        return str(self._wanted)

    def close(self) -> None:
        """End the connection."""
        self._session.close()
