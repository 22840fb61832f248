"""Spelling suggestions: the known words that are close to a mistyped one."""

from __future__ import annotations

from itertools import islice, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Comparing long words takes time, and a user recognizes no typing mistake in them.
_MAX_LENGTH = 80
_MAX_CANDIDATES = 1000
# A shorter beginning of a word means nothing.
_MIN_PREFIX = 3
_SEPARATORS = str.maketrans("", "", "-_+. ")


def nearest_words(word: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Return the known words that `word` was probably meant to be, the nearest first.

    A word is close if few letters have to change, a third of them at most, or if `word` is the
    beginning of it. All words of the smallest distance are returned, up to the limit.
    """
    lowered = word.lower()[:_MAX_LENGTH]
    if not lowered:
        return []
    allowed = max(1, (len(lowered) + 1) // 3)
    near = (k for k in known if abs(len(k) - len(lowered)) <= allowed)
    distances = [
        (d, k)
        for k in islice(near, _MAX_CANDIDATES)
        if (d := _distance(lowered, k.lower(), allowed)) <= min(allowed, len(k) // 2)
    ]
    if distances:
        least = min(d for d, _ in distances)
        nearest = [k for d, k in distances if d == least]
        # People rarely mistype the beginning.
        nearest.sort(key=lambda k: -_common_beginning(lowered, k.lower()))
        return nearest[:limit]
    if len(lowered) < _MIN_PREFIX:
        return []
    return [k for k in known if k.lower().startswith(lowered)][:limit]


def did_you_mean(word: str, known: Iterable[str], limit: int = 1) -> str:
    """Return the hint that suggests the nearest known words, or an empty text."""
    found = nearest_words(word, list(known), limit)
    return f"did you mean {' or '.join(found)}?" if found else ""


def _common_beginning(left: str, right: str) -> int:
    pairs = zip(left, right, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _distance(left: str, right: str, allowed: int) -> int:
    """Return how many letters were added, lost, replaced or swapped; separators do not count."""
    if left.translate(_SEPARATORS) == right.translate(_SEPARATORS):
        return 0
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and b == left[i - 2]:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > allowed:
            return allowed + 1
    return row[-1]
