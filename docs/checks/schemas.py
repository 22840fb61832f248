"""Reading JSON Schemas: the prose of their titles and descriptions."""

from __future__ import annotations

import re

from checks.texts import Text, blank, without_code

_PROSE = re.compile(r'"(?:title|description|x-form)"\s*:\s*"((?:[^"\\\n]|\\.)*)"')


def read_schema(path: str, source: str) -> Text:
    """Return the prose of a schema."""
    mask = list(blank(source))
    for found in _PROSE.finditer(source):
        mask[found.start(1) : found.end(1)] = found[1]
    return Text(path, source, without_code("".join(mask)))
