"""The command line of the rounds: `make test-faults`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from faults.kinds import KINDS
from faults.runner import RunOptions, drawn_rounds, run_rounds, table, why_no_rounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faults.kind import Verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Run rounds, and return 1 if any failed."""
    names = [kind.name for kind in KINDS]
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=names)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", default="")
    parser.add_argument("--keep", action="store_true", help="keep the folders of failed rounds")
    given = parser.parse_args(arguments)
    rounds = drawn_rounds(given.kind or names, given.rounds, given.seed)
    options = RunOptions(given.jobs, folder=given.folder, keep=given.keep)
    lacks = why_no_rounds()
    if lacks:
        _say(f"error: {lacks}")
        return 2
    finished: list[Verdict] = []

    def show(verdict: Verdict) -> None:
        finished.append(verdict)
        if verdict.problems:
            _say("\n".join(_failure(verdict)))
        elif len(finished) % 10 == 0 or len(finished) == len(rounds):
            _say(f"{len(finished)} of {len(rounds)} rounds")

    verdicts = run_rounds(rounds, options, show)
    _say("\n".join(["", *table(verdicts)]))
    failed = [v for v in verdicts if v.problems]
    if failed:
        _say(f"\n{len(failed)} rounds failed:")
        for verdict in failed:
            _say(f"  {_repeat(verdict)}  # {verdict.problems[0][:100]}")
    return 1 if failed else 0


def _failure(verdict: Verdict) -> list[str]:
    lines = [f"FAILED {verdict.round.kind}, seed {verdict.round.seed}: {_repeat(verdict)}"]
    lines += [f"  did: {step}" for step in verdict.steps]
    return lines + [f"  problem: {problem}" for problem in verdict.problems]


def _repeat(verdict: Verdict) -> str:
    return f"make test-faults KIND={verdict.round.kind} SEED={verdict.round.seed} ROUNDS=1"


def _say(text: str) -> None:
    sys.stdout.write(text.encode("ascii", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
