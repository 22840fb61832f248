"""Parse sizes and ages in options, and print ages."""

from __future__ import annotations

import re

from assembler.codes import usage
from assembler.errors import UsageError

_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_bytes(text: str, option: str) -> int:
    """Parse `500M`, `5G`, `2GiB` or a plain number of bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", text.strip().lower())
    if not found:
        raise UsageError.of(
            usage.BAD_OPTION, f"{option}: invalid size {text!r}", "write it as 500M, 5G or 2GiB"
        )
    return int(float(found[1]) * (_BYTES | _BINARY)[found[2] or ""])


def parse_age(text: str, option: str) -> float:
    """Parse `12h`, `30d` or `2w` as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip().lower())
    if not found:
        raise UsageError.of(
            usage.BAD_OPTION, f"{option}: invalid age {text!r}", "write it as 12h, 30d or 2w"
        )
    return float(found[1]) * _SECONDS[found[2]]


def age_text(seconds: float) -> str:
    """Return an age as text: `5 minutes`, `3 days`."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "now"
