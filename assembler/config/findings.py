"""Making and ordering diagnostics, and finding the word that was meant."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from assembler.diagnostics import Diagnostic, Place, Remark, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assembler.codes import Code

# Nobody reads on after so many; and each hint costs time.
MOST = 100
_CANDIDATES = 60


def error(
    code: Code,
    message: str,
    place: Place | None,
    *hints: str,
    first: tuple[str, Place | None] = ("", None),
) -> Diagnostic:
    """Make an error; `first` says what about an earlier place, if that explains it."""
    return Diagnostic(code, message, place, tuple(h for h in hints if h), _remarks(first))


def warning(
    code: Code,
    message: str,
    place: Place | None,
    *hints: str,
    first: tuple[str, Place | None] = ("", None),
) -> Diagnostic:
    """Make a warning, as `error` makes errors."""
    return Diagnostic(
        code, message, place, tuple(h for h in hints if h), _remarks(first), Severity.WARNING
    )


def _remarks(first: tuple[str, Place | None]) -> tuple[Remark, ...]:
    words, place = first
    return (Remark(words, place),) if place is not None else ()


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` is most like, if it is like one at all."""
    import difflib  # noqa: PLC0415 - only where something is wrong

    asked = word.lower()[:80]
    by_lower = {k.lower(): k for k in known}
    if len(by_lower) > _CANDIDATES:
        alike = (k for k in by_lower if k[:1] == asked[:1] and abs(len(k) - len(asked)) < 3)
        by_lower = {k: by_lower[k] for k in islice(alike, _CANDIDATES)}
    close = difflib.get_close_matches(asked, by_lower, 1, 0.6)
    return by_lower[close[0]] if close else None


def meant(word: str, known: Iterable[str]) -> str:
    """Return the hint that names the nearest known word, or nothing."""
    found = nearest(word, known)
    return f"did you mean {found}?" if found else ""


def in_order(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Sort by place, files in the order they came in, and drop what nobody would read."""
    files: dict[str, int] = {}
    for diagnostic in found:
        if diagnostic.place is not None:
            files.setdefault(diagnostic.place.source.name, len(files))

    def key(diagnostic: Diagnostic) -> tuple[int, int, int]:
        place = diagnostic.place
        if place is None:
            return len(files), 0, 0
        return files[place.source.name], place.line, place.column

    ordered = sorted(found, key=key)
    if len(ordered) <= MOST:
        return ordered
    # Errors first: a flood of warnings must not push them out.
    ordered.sort(key=lambda d: d.severity is Severity.WARNING)
    kept, last = ordered[: MOST - 1], ordered[MOST - 1]
    more = f"{len(ordered) - MOST} more mistakes are not shown"
    return [
        *kept,
        Diagnostic(
            last.code, last.message, last.place, (*last.hints, more), last.remarks, last.severity
        ),
    ]


def bounded(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Gather findings until there are enough errors; of warnings the first ones are enough."""
    kept: list[Diagnostic] = []
    errors = 0
    for diagnostic in found:
        is_error = diagnostic.severity is Severity.ERROR
        errors += is_error
        if is_error or len(kept) < MOST:
            kept.append(diagnostic)
        if errors > MOST:
            break
    return kept


def has_errors(found: Iterable[Diagnostic]) -> bool:
    """Tell whether there is an error among warnings."""
    return any(d.severity is Severity.ERROR for d in found)
