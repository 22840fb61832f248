"""Collecting all errors and warnings of the stage, so that one run reports all of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.diagnostics import Diagnostic, Severity, in_line_order
from assembler.errors import DolmenError, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.codes import Code
    from assembler.diagnostics import Place


# The placeholder for names in the message of a grouped warning.
NAMES = "{names}"
_MOST_NAMES = 5


@dataclass(slots=True)
class _NamedWarning:
    """A warning, and the names of the containers that it concerns."""

    warning: Diagnostic
    # The message for several names.
    several: str = ""
    names: list[str] = field(default_factory=list)

    def diagnostic(self) -> Diagnostic:
        """Return the diagnostic for all names."""
        if len(self.names) < 2:
            return self.warning
        return replace(self.warning, message=self.several.replace(NAMES, _listed(self.names)))

    def is_same(self, warning: Diagnostic, several: str) -> bool:
        """Tell whether a warning is the same for another name in the same file or label."""
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
    """The errors and warnings found so far."""

    def __init__(self) -> None:
        """Start empty."""
        self._errors: list[Diagnostic] = []
        self._named_warnings: list[_NamedWarning] = []

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """Return the warnings in the order of discovery, equal ones once."""
        return tuple(named_warning.diagnostic() for named_warning in self._named_warnings)

    @contextmanager
    def collect(self, place: Place | None = None) -> Iterator[None]:
        """Collect an error of the block, and continue after it."""
        try:
            yield
        except DolmenError as error:
            for diagnostic in error.with_place(place).diagnostics:
                if diagnostic not in self._errors:
                    self._errors.append(diagnostic)

    def warn(self, code: Code, message: str, *hints: str, place: Place | None = None) -> None:
        """Note something named_warningful."""
        self.add_warning(Diagnostic(code, message, place, hints, severity=Severity.WARNING))

    def add_warning(self, warning: Diagnostic) -> None:
        """Add a warning once."""
        if all(named_warning.warning != warning for named_warning in self._named_warnings):
            self._named_warnings.append(_NamedWarning(warning))

    def add_grouped_warning(self, name: str, warning: Diagnostic, several: str) -> None:
        """Add a warning for a name; for several names its message is `several`."""
        for named_warning in self._named_warnings:
            if named_warning.is_same(warning, several):
                named_warning.names.append(name)
                return
        self._named_warnings.append(_NamedWarning(warning, several, [name]))

    def raise_errors(self) -> None:
        """Raise all collected errors."""
        if self._errors:
            raise PlanError(in_line_order(self._errors))
