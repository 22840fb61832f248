"""The protocol of a kind of fault, and what a round ends with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from faults.bench import Bench


class Outcome(Enum):
    """How a round ended, if every invariant held."""

    # The disturbed command itself gave the reference bytes.
    RIGHT = "right"
    # It said clearly why it gives nothing; nothing had to be mended.
    REFUSED = "refused"
    # It gave nothing, or was killed; the next command gave the reference bytes.
    REPAIRED = "repaired"


@dataclass(frozen=True)
class Round:
    """The name of a round: kind and seed repeat it."""

    kind: str
    seed: int


@dataclass(frozen=True)
class Verdict:
    """The result of a round: an outcome, and the invariants that did not hold."""

    round: Round
    outcome: Outcome | None
    problems: tuple[str, ...]
    # What was done, step by step.
    steps: tuple[str, ...]
    seconds: float


class FaultKind(Protocol):
    """A kind of fault."""

    @property
    def name(self) -> str:
        """Return the name for `--kind` and for the table."""
        ...

    def run(self, bench: Bench) -> Outcome:
        """Run a round that `bench.chance` draws; problems go to the bench."""
        ...
