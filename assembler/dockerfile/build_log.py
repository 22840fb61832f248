"""The output of a builder: the instruction that it carries out, and the last lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError, disk_full_error
from assembler.events import LogMessage
from assembler.printable import program_line
from assembler.tools import full_disk_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Instruction
    from assembler.errors import DolmenError
    from assembler.events import Reporter

_NO_SHELL = re.compile(r"(?:exec|stat)\S* /bin/sh: no such file or directory")
_LAST_LINES = 12


@dataclass(slots=True)
class BuildLogParser:
    """Parses the output of a builder line by line; a subclass knows how it announces steps."""

    plan: DockerfilePlan
    reporter: Reporter
    # The hint for a RUN that failed without network; empty if it has one.
    no_network_hint: str
    instruction: Instruction | None = None
    last_lines: list[str] = field(default_factory=list)
    partial_line: bytes = b""

    def feed(self, data: bytes) -> None:
        """Parse a piece of output."""
        *whole, self.partial_line = (self.partial_line + data).split(b"\n")
        for raw in whole:
            self._line(raw)

    def finish(self) -> None:
        """Parse a last line without a line end."""
        if self.partial_line:
            self._line(self.partial_line)
            self.partial_line = b""

    def parse_step(self, line: str) -> bool:
        """Tell whether a line is about steps, and set the instruction that it names."""
        raise NotImplementedError

    def _line(self, raw: bytes) -> None:
        # A program that draws progress overwrites its line.
        line = raw.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
        if self.parse_step(line):
            self.reporter.emit(LogMessage(line, 1, from_program=True))
            return
        self.last_lines = [*self.last_lines[-_LAST_LINES:], line]
        self.reporter.emit(LogMessage(line, 2, from_program=True))

    def build_error(self, *hints: str, writes: Sequence[Path] = ()) -> DolmenError:
        """Return the error with the instruction that failed and the last lines.

        `writes` are directories that the builder writes to; a full disk is an error of its own.
        """
        printed = [line for line in self.last_lines if line.strip(" -")]
        last = "\n".join(program_line(line) for line in printed[-_LAST_LINES:])
        what = f"{self.instruction.keyword} failed" if self.instruction else "the build failed"
        full = full_disk_of(writes, last)
        if full is not None:
            place = self.instruction.place() if self.instruction else None
            return disk_full_error(f"{what}:\n{last}" if last else what, full, place)
        all_hints = [*hints]
        is_run = self.instruction is not None and self.instruction.keyword == "RUN"
        if _NO_SHELL.search(last):
            all_hints.append(
                "the image has no shell: begin with a base image that has one, or copy files only"
            )
        elif is_run and self.no_network_hint:
            all_hints.append(self.no_network_hint)
        return PackageError.of(
            packages.BUILD_FAILED,
            f"{what}:\n{last}" if last else what,
            *all_hints,
            place=self.instruction.place() if self.instruction else None,
        )
