"""What went wrong in a batch, told once for all platforms, and what is missing because of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.diagnostics import Diagnostic

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.packages.build_steps import Step
    from assembler.packages.package_build import PackageResult


def batch_problems(
    steps: Mapping[Path, Step], done: Mapping[Path, PackageResult], log: Callable[[Step], Path]
) -> tuple[Diagnostic, ...]:
    """Return the mistakes of all packages, then a list of what was not built."""
    found: list[Diagnostic] = []
    missing: list[str] = []
    for key, step in steps.items():
        built = done[key]
        found += _of_package(built, step, log(step))
        missing += _missing(built, step)
    if len(steps) == 1 and len(next(iter(steps.values())).job.platforms) == 1:
        return tuple(found)
    if missing:
        count = sum(not (b.failures or b.left) for b in done.values())
        text = f"{count} of {len(steps)} packages were built; not built:\n" + "\n".join(missing)
        found.append(Diagnostic(packages.SOME_NOT_BUILT, text))
    return tuple(found)


def _of_package(built: PackageResult, step: Step, log: Path) -> Iterator[Diagnostic]:
    """Yield what went wrong, the same mistake of several platforms once."""
    several: dict[tuple[Diagnostic, ...], list[str]] = {}
    for platform, error in built.failures.items():
        several.setdefault(error.diagnostics, []).append(str(platform))
    for diagnostics, platforms in several.items():
        for diagnostic in diagnostics:
            hints = diagnostic.hints
            if len(step.job.platforms) > 1:
                hints += (f"that was for {', '.join(platforms)}",)
            if log.exists():
                hints += (f"everything that was printed is in {log}",)
            yield replace(diagnostic, hints=hints)


def _missing(built: PackageResult, step: Step) -> Iterator[str]:
    every = {*built.failures, *built.left} == {*step.job.platforms}
    for platforms, why in ((built.failures, ""), (built.left, ": something it needs is missing")):
        if platforms:
            which = "" if every and not why else f" for {', '.join(map(str, platforms))}"
            yield f"  {built.name}{which}{why}"
