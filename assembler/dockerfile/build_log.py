"""Following what a builder prints: which instruction it is at, and its last words if it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError
from assembler.events import LogMessage

if TYPE_CHECKING:
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Instruction
    from assembler.events import Reporter

_LAST_LINES = 12


@dataclass(slots=True)
class BuildLogParser:
    """Takes what is printed, line by line; each builder has its own way to tell its steps."""

    plan: DockerfilePlan
    reporter: Reporter
    network: bool
    at: Instruction | None = None
    lines: list[str] = field(default_factory=list)
    rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take a piece of output."""
        *whole, self.rest = (self.rest + data).split(b"\n")
        for raw in whole:
            self._line(raw)

    def finish(self) -> None:
        """Take what came without a line end."""
        if self.rest:
            self._line(self.rest)
            self.rest = b""

    def parse_step(self, line: str) -> bool:
        """Tell whether a line is about the steps, and note the instruction that it speaks of."""
        raise NotImplementedError

    def _line(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip("\r")
        if self.parse_step(line):
            self.reporter.emit(LogMessage(line, 1))
            return
        self.lines = [*self.lines[-_LAST_LINES:], line]
        self.reporter.emit(LogMessage(line, 2))

    def build_error(self, *more: str) -> PackageError:
        """Return the error that tells which instruction failed, and what was printed last."""
        said = [line for line in self.lines if line.strip(" -")]
        last = "\n".join(_printable(line) for line in said[-_LAST_LINES:])
        what = f"{self.at.keyword} failed" if self.at else "the build failed"
        hints = [*more]
        if self.at is not None and self.at.keyword == "RUN" and not self.network:
            hints.append("RUN has no network unless build.yml says `network: true`")
        return PackageError.of(
            packages.BUILD_FAILED,
            f"{what}:\n{last}" if last else what,
            *hints,
            place=self.at.place() if self.at else None,
        )


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line)
