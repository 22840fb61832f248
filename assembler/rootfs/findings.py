"""Collecting everything that is wrong or doubtful, so that one run tells all of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import DolmenError, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.codes import Code
    from assembler.diagnostics import Place


class Findings:
    """What has been found wrong (errors) or doubtful (warnings) so far."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._errors: list[Diagnostic] = []
        self._warnings: list[Diagnostic] = []

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """Return the warnings in the order in which they were found."""
        return tuple(self._warnings)

    @contextmanager
    def caught(self, place: Place | None = None) -> Iterator[None]:
        """Keep an error of the block and go on after it."""
        try:
            yield
        except DolmenError as error:
            for diagnostic in error.at(place).diagnostics:
                if diagnostic not in self._errors:
                    self._errors.append(diagnostic)

    def warn(self, code: Code, message: str, *hints: str, place: Place | None = None) -> None:
        """Note something doubtful."""
        self.note(Diagnostic(code, message, place, hints, severity=Severity.WARNING))

    def note(self, warning: Diagnostic) -> None:
        """Keep a warning, once."""
        if warning not in self._warnings:
            self._warnings.append(warning)

    def raise_errors(self) -> None:
        """End the stage if anything was wrong."""
        if self._errors:
            raise PlanError(self._errors)
