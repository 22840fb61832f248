"""The diagnostics of a batch: each once for all platforms, then unbuilt packages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.diagnostics import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from assembler.packages.build_steps import Step
    from assembler.packages.package_build import PackageResult


def batch_problems(
    steps: Mapping[Path, Step],
    results: Mapping[Path, PackageResult],
    log_path: Callable[[Step], Path],
) -> tuple[Diagnostic, ...]:
    """Return the errors of all packages, then a list of what was not built."""
    found: list[Diagnostic] = []
    missing: list[str] = []
    for key, step in steps.items():
        result = results[key]
        found += _package_problems(result, step, log_path(step))
        missing += _missing_lines(result, step)
    if len(steps) == 1 and len(next(iter(steps.values())).job.platforms) == 1:
        return tuple(found)
    if missing:
        count = sum(result.complete for result in results.values())
        text = f"{count} of {len(steps)} packages were built; not built:\n" + "\n".join(missing)
        found.append(Diagnostic(packages.SOME_NOT_BUILT, text))
    return tuple(found)


def _package_problems(result: PackageResult, step: Step, log: Path) -> Iterator[Diagnostic]:
    """Yield the errors of a package; an error of several platforms comes once."""
    several: dict[tuple[Diagnostic, ...], list[str]] = {}
    for platform, error in result.failures.items():
        several.setdefault(error.diagnostics, []).append(str(platform))
    for diagnostics, platforms in several.items():
        for diagnostic in diagnostics:
            hints = diagnostic.hints
            if len(step.job.platforms) > 1:
                hints += (f"failed for {', '.join(platforms)}",)
            if log.exists():
                hints += (f"the full output is in {log}",)
            yield replace(diagnostic, hints=hints)


def _missing_lines(result: PackageResult, step: Step) -> Iterator[str]:
    every = {*result.failures, *result.skipped} == {*step.job.platforms}
    for platforms, why in (
        (result.failures, ""),
        (result.skipped, ": a dependency is missing"),
    ):
        if platforms:
            which = "" if every and not why else f" for {', '.join(map(str, platforms))}"
            yield f"  {result.name}{which}{why}"
