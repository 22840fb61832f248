"""Sizes and durations as image.yml has them: 512M, 30s."""

from __future__ import annotations

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_size(text: str) -> int:
    """Return the bytes of a size that the schema accepts."""
    return int(text[:-1]) * _UNITS[text[-1]]


def parse_duration(text: str) -> int:
    """Return the seconds of a duration that the schema accepts."""
    return int(text[:-1]) * _SECONDS[text[-1]]
