"""Prints what `make coverage` has measured: python test/coverage_report.py REPORT.json PERCENT.

Figures for each folder, the least covered modules, and the sums of the library and of the command
line. The library fails below PERCENT; most of the command line is run by slow tests alone.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

LEAST = 10
LIBRARY = "assembler"


@dataclass(frozen=True, slots=True)
class Share:
    """How many lines of something there are, and how many of them ran."""

    present: int = 0
    covered: int = 0

    def __add__(self, other: Share) -> Share:
        """Return the share of both together."""
        return Share(self.present + other.present, self.covered + other.covered)

    @property
    def percent(self) -> float:
        """Return the share in percent; of nothing, all ran."""
        return 100 * self.covered / self.present if self.present else 100.0

    def line(self, name: str) -> str:
        """Return a line of a table."""
        return f"  {self.percent:5.1f} %  {self.present - self.covered:5} missing  {name}\n"


def modules(report: dict[str, Any]) -> dict[str, Share]:
    """Return the share of each module in a report of coverage."""
    found = {}
    for name, module in report["files"].items():
        figures = module["summary"]
        found[name] = Share(figures["num_statements"], figures["covered_lines"])
    return found


def folders(found: dict[str, Share]) -> dict[str, Share]:
    """Return the share of each folder of the library, and of the command line."""
    added: defaultdict[str, Share] = defaultdict(Share)
    for name, share in found.items():
        parts = PurePosixPath(name).parts
        added["/".join(parts[: min(2, len(parts) - 1)]) + "/"] += share
    return dict(sorted(added.items()))


def sums(found: dict[str, Share]) -> dict[str, Share]:
    """Return the share of the library, and of the command line."""
    added: defaultdict[str, Share] = defaultdict(Share)
    for name, share in found.items():
        added[PurePosixPath(name).parts[0]] += share
    return dict(sorted(added.items()))


def text(found: dict[str, Share]) -> str:
    """Return the tables that are printed."""
    least = sorted(found.items(), key=lambda item: (item[1].percent, -item[1].present))
    lines = ["Lines that ran, by folder:\n"]
    lines += [share.line(name) for name, share in folders(found).items()]
    lines.append(f"The {LEAST} modules that are covered least:\n")
    lines += [share.line(name) for name, share in least[:LEAST]]
    lines.append("Together:\n")
    lines += [share.line(name) for name, share in sums(found).items()]
    return "".join(lines)


def main(arguments: list[str]) -> int:
    """Print the tables; return 1 if too little of the library ran."""
    found = modules(json.loads(Path(arguments[0]).read_text("utf-8")))
    sys.stdout.write(text(found))
    least = float(arguments[1])
    if sums(found).get(LIBRARY, Share()).percent < least:
        sys.stderr.write(f"less than {least:g} % of {LIBRARY} ran\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
