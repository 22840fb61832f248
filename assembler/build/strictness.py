"""Strict builds: a warning ends the build."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable


def refuse_warnings(warnings: Iterable[Diagnostic]) -> None:
    """Raise the warnings as errors, if there are any."""
    errors = [replace(warning, severity=Severity.ERROR) for warning in warnings]
    if errors:
        raise OutputError(errors)
