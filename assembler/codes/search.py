"""Search among the codes of diagnostics."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assembler.codes import Code, all_codes
from assembler.spelling import nearest_words

_NUMBER = re.compile(r"(?:dm)?[-_ ]?0*(\d{1,4})", re.IGNORECASE | re.ASCII)
_MAX_SUGGESTIONS = 5
_MAX_NUMBER_DISTANCE = 10


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
        asked = int(name[2:])
        # Codes of another stage are about something else.
        near_codes = sorted(
            (
                code
                for code in codes.values()
                if code.number // 100 == asked // 100
                and abs(code.number - asked) <= _MAX_NUMBER_DISTANCE
            ),
            key=lambda code: abs(code.number - asked),
        )
        return CodeSearch(name, (), tuple(near_codes[:3]))
    text = query.strip().lower()
    found = [c for c in codes.values() if text and text in f"{c.title} {c.explanation}".lower()]
    if found:
        return CodeSearch(query, tuple(found))
    words = {word for c in codes.values() for word in re.findall(r"[a-z]{4,}", c.title.lower())}
    similar = nearest_words(text, sorted(words))
    near = [c for word in similar for c in codes.values() if word in c.title.lower()]
    return CodeSearch(query, (), tuple(dict.fromkeys(near))[:_MAX_SUGGESTIONS])
