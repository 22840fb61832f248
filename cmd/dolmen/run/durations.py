"""Parse durations in options."""

from __future__ import annotations

import re

from assembler.codes import usage
from assembler.errors import UsageError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")
_SECONDS = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Return a duration in seconds: `90s`, `5m`, `500ms`; a number alone means seconds."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise UsageError.of(usage.BAD_OPTION, f"invalid duration {text!r}", "write it as 90s or 5m")
    return float(found[1]) * _SECONDS[found[2]]
