"""Garbage collection and verification of the checkouts below the store."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import DolmenError
from assembler.events import task
from assembler.files import disk_usage
from assembler.git_sources.checkout import (
    checkouts_directory,
    discard_checkout,
    open_checkout,
)
from assembler.git_sources.reference import COMMIT
from assembler.oci import HOUR, oldest_run_start
from assembler.scratch_directories import scratch_directory

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci import GcLimits, Store, VerifyReport

_DEFAULT_MAX_AGE = 30 * 24 * HOUR


@dataclass(slots=True)
class GitGcResult:
    """The number of removed checkouts, and their size."""

    checkouts: int = 0
    bytes: int = 0


def collect_git_garbage(store: Store, limits: GcLimits, now: float) -> GitGcResult:
    """Remove the checkouts that the limits do not protect, except those that a run may use."""
    result = GitGcResult()
    directory = checkouts_directory(store)
    if not directory.is_dir():
        return result
    if not limits.dry_run:
        # Its first step removes what killed processes have left.
        with suppress(OSError), scratch_directory(directory):
            pass
    max_age = _DEFAULT_MAX_AGE if limits.older_than is None else limits.older_than
    run_start = oldest_run_start(store, dry_run=limits.dry_run)
    used_before = min(run_start - 1, math.inf if limits.everything else now - max_age)
    for root in _roots(directory):
        try:
            used = (root / "manifest.json").stat().st_mtime
        except OSError:
            used = 0.0  # not a checkout
        if used < used_before:
            result.bytes += disk_usage(root)
            result.checkouts += 1
            if not limits.dry_run:
                discard_checkout(root)
    return result


def verify_checkouts(store: Store, report: VerifyReport, reporter: Reporter) -> None:
    """Compare all checkouts with the hashes of their commits; add the result to the report."""
    roots = _roots(checkouts_directory(store))
    if not roots:
        return
    with task(reporter, "verify git repositories", len(roots)) as progress:
        for root in roots:
            checkout = open_checkout(root)
            progress.advance(1)
            if checkout is not None and checkout.is_intact():
                report.others += 1
                report.other_bytes += disk_usage(root)
                continue
            message = f"{root}: the files do not match the commit"
            try:
                discard_checkout(root)
            except (DolmenError, OSError) as error:
                why = f"{message}; it cannot be removed: {error}"
                report.add_problem(packages.DAMAGED_FILE, why, f"rm -r {root}")
            else:
                report.repaired.append(f"{message}; removed, the next build fetches it again")
        progress.outcome = "verified"


def _roots(directory: Path) -> list[Path]:
    return sorted(p for p in directory.glob("*") if COMMIT.fullmatch(p.name) and p.is_dir())
