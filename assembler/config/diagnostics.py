"""Diagnostics of YAML files: constructors, their order and limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.diagnostics import Diagnostic, Place, Remark, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assembler.codes import Code

# A user does not read more.
MAX_DIAGNOSTICS = 100


def error(
    code: Code,
    message: str,
    place: Place | None,
    *hints: str,
    related: tuple[str, Place | None] = ("", None),
) -> Diagnostic:
    """Return an error; `related` is a message about an earlier place, if there is one."""
    return Diagnostic(code, message, place, tuple(h for h in hints if h), _remarks(related))


def warning(
    code: Code,
    message: str,
    place: Place | None,
    *hints: str,
    related: tuple[str, Place | None] = ("", None),
) -> Diagnostic:
    """Return a warning; the arguments are those of `error`."""
    return Diagnostic(
        code, message, place, tuple(h for h in hints if h), _remarks(related), Severity.WARNING
    )


def _remarks(related: tuple[str, Place | None]) -> tuple[Remark, ...]:
    message, place = related
    return (Remark(message, place),) if place is not None else ()


def sort_and_limit(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Sort by place, with files in the order of their first diagnostic, and drop the excess."""
    file_order: dict[str, int] = {}
    for diagnostic in diagnostics:
        if diagnostic.place is not None:
            file_order.setdefault(diagnostic.place.source.name, len(file_order))

    def sort_key(diagnostic: Diagnostic) -> tuple[int, int, int]:
        place = diagnostic.place
        if place is None:
            return len(file_order), 0, 0
        return file_order[place.source.name], place.line, place.column

    ordered = sorted(diagnostics, key=sort_key)
    if len(ordered) <= MAX_DIAGNOSTICS:
        return ordered
    # Errors first, so that warnings do not displace them.
    ordered.sort(key=lambda d: d.severity is Severity.WARNING)
    *first, last = ordered[:MAX_DIAGNOSTICS]
    rest = f"{len(ordered) - MAX_DIAGNOSTICS} more mistakes are not shown"
    return [
        *first,
        Diagnostic(
            last.code, last.message, last.place, (*last.hints, rest), last.remarks, last.severity
        ),
    ]


def take_until_limit(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Collect diagnostics until there are enough errors; keep only the first warnings."""
    taken: list[Diagnostic] = []
    errors = 0
    for diagnostic in diagnostics:
        is_error = diagnostic.severity is Severity.ERROR
        errors += is_error
        if is_error or len(taken) < MAX_DIAGNOSTICS:
            taken.append(diagnostic)
        if errors > MAX_DIAGNOSTICS:
            break
    return taken


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Tell whether at least one diagnostic is an error."""
    return any(d.severity is Severity.ERROR for d in diagnostics)
