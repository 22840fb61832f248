"""Collecting everything that is wrong or doubtful, so that one run tells all of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import DolmenError, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.codes import Code
    from assembler.diagnostics import Place


# The message of a warning that concerns several has their names here.
NAMES = "{names}"
_MOST_NAMES = 5


@dataclass(slots=True)
class _Doubt:
    """A warning, and all whom it concerns."""

    warning: Diagnostic
    # Its message if it concerns several.
    several: str = ""
    names: list[str] = field(default_factory=list)

    def collected(self) -> Diagnostic:
        """Return what is said."""
        if len(self.names) < 2:
            return self.warning
        return replace(self.warning, message=self.several.replace(NAMES, _listed(self.names)))

    def is_same(self, warning: Diagnostic, several: str) -> bool:
        """Tell whether a warning says the same of somebody else in the same file or label."""
        mine, other = self.warning.place, warning.place
        return (self.several, self.warning.hints, mine and mine.source) == (
            several,
            warning.hints,
            other and other.source,
        )


def _listed(names: list[str]) -> str:
    shown = [repr(name) for name in names]
    if len(shown) > _MOST_NAMES + 1:
        shown[_MOST_NAMES:] = [f"{len(shown) - _MOST_NAMES} more"]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


class DiagnosticCollector:
    """What has been found wrong (errors) or doubtful (warnings) so far."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._errors: list[Diagnostic] = []
        self._doubts: list[_Doubt] = []

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """Return the warnings in the order in which they were found, what is the same once."""
        return tuple(doubt.collected() for doubt in self._doubts)

    @contextmanager
    def caught(self, place: Place | None = None) -> Iterator[None]:
        """Keep an error of the block and go on after it."""
        try:
            yield
        except DolmenError as error:
            for diagnostic in error.with_place(place).diagnostics:
                if diagnostic not in self._errors:
                    self._errors.append(diagnostic)

    def warn(self, code: Code, message: str, *hints: str, place: Place | None = None) -> None:
        """Note something doubtful."""
        self.note(Diagnostic(code, message, place, hints, severity=Severity.WARNING))

    def note(self, warning: Diagnostic) -> None:
        """Keep a warning, once."""
        if all(doubt.warning != warning for doubt in self._doubts):
            self._doubts.append(_Doubt(warning))

    def note_for(self, name: str, warning: Diagnostic, several: str) -> None:
        """Keep a warning that may concern several: its message is `several` then."""
        for doubt in self._doubts:
            if doubt.is_same(warning, several):
                doubt.names.append(name)
                return
        self._doubts.append(_Doubt(warning, several, [name]))

    def raise_errors(self) -> None:
        """End the stage if anything was wrong."""
        if self._errors:
            raise PlanError(self._errors)
