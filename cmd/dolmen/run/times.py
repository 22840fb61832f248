"""Times as users write them."""

from __future__ import annotations

import re

from assembler.codes import usage
from assembler.errors import UsageError

_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")
_SECONDS = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """Return a time in seconds: `90s`, `5m`, `500ms`; a number alone means seconds."""
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise UsageError.of(usage.BAD_OPTION, f"not a time: {text!r}", "write it as 90s or 5m")
    return float(found[1]) * _SECONDS[found[2]]
