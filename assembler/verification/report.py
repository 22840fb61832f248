"""The report of a verification: its checks, and what none of them covers."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from assembler.errors import DolmenError
from assembler.inspection import CorruptDataError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEMA = 1


class CheckOutcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    UNCHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Check:
    """A check: of which part, what was checked, how it ended, and the facts or the reason."""

    part: str
    name: str
    outcome: CheckOutcome
    detail: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the check as JSON."""
        return {
            "part": self.part,
            "check": self.name,
            "outcome": self.outcome.value,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The checks of an image."""

    # disk, program, cd, volume or update set.
    kind: str
    checks: tuple[Check, ...]
    not_covered: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Tell whether a check failed, or none succeeded."""
        outcomes = {check.outcome for check in self.checks}
        return CheckOutcome.FAILED in outcomes or CheckOutcome.OK not in outcomes

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "schema": _SCHEMA,
            "kind": self.kind,
            "ok": not self.failed,
            "checks": [check.as_json() for check in self.checks],
            "notCovered": list(self.not_covered),
        }


class FailedCheckError(Exception):
    """The reason for which a check fails."""


@dataclass(slots=True)
class Checks:
    """The checks so far."""

    found: list[Check] = field(default_factory=list)

    def ok(self, part: str, name: str, detail: str = "") -> None:
        """Note a check that succeeded."""
        self.found.append(Check(part, name, CheckOutcome.OK, detail))

    def failed(self, part: str, name: str, detail: str) -> None:
        """Note a check that failed."""
        self.found.append(Check(part, name, CheckOutcome.FAILED, detail))

    def unchecked(self, part: str, name: str, detail: str) -> None:
        """Note a check that was not made, with the reason."""
        self.found.append(Check(part, name, CheckOutcome.UNCHECKED, detail))

    @contextmanager
    def failing(self, part: str, name: str) -> Iterator[None]:
        """Note a failed check if the block finds that the data is wrong."""
        try:
            yield
        except (FailedCheckError, CorruptDataError) as error:
            self.failed(part, name, str(error))
        except DolmenError as error:
            self.failed(part, name, error.diagnostics[0].message)
        except (struct.error, ValueError, IndexError, KeyError, OverflowError) as error:
            self.failed(part, name, f"it is corrupt: {error}")
        except (TypeError, AttributeError, RecursionError) as error:
            # JSON of another form, or nested too deeply.
            self.failed(part, name, f"it has an unusual form: {error}")
