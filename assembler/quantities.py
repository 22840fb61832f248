"""Amounts as people read them."""

from __future__ import annotations


def size_text(amount: int) -> str:
    """Return a number of bytes as people read it."""
    if amount < 1000:
        return f"{amount} B"
    value = float(amount)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
