"""Search among the codes of diagnostics."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from assembler.codes import Code, all_codes

_NUMBER = re.compile(r"(?:dm)?[-_ ]?0*(\d{1,4})", re.IGNORECASE | re.ASCII)
_MAX_SUGGESTIONS = 5


@dataclass(frozen=True, slots=True)
class CodeSearch:
    """The codes that match a query; if there are none, similar ones."""

    # The query; a number in its usual form, such as DM0102.
    query: str
    codes: tuple[Code, ...]
    suggestions: tuple[Code, ...] = ()


def search_codes(query: str) -> CodeSearch:
    """Find a code by its number, or all codes whose title or explanation contains the text."""
    codes = all_codes()
    number = _NUMBER.fullmatch(query.strip())
    if number:
        name = f"DM{int(number.group(1)):04}"
        if name in codes:
            return CodeSearch(name, (codes[name],))
        by_distance = sorted(codes.values(), key=lambda code: abs(code.number - int(name[2:])))
        return CodeSearch(name, (), tuple(by_distance[:3]))
    text = query.strip().lower()
    found = [c for c in codes.values() if text and text in f"{c.title} {c.explanation}".lower()]
    if found:
        return CodeSearch(query, tuple(found))
    words = {word for c in codes.values() for word in re.findall(r"[a-z]{4,}", c.title.lower())}
    similar = difflib.get_close_matches(text, words, 3)
    near = [c for word in similar for c in codes.values() if word in c.title.lower()]
    return CodeSearch(query, (), tuple(dict.fromkeys(near))[:_MAX_SUGGESTIONS])
