"""Parse sizes and ages, and print ages."""

from __future__ import annotations

import pytest

from assembler.errors import UsageError
from dolmen.quantities import age_text, parse_age, parse_bytes


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("500", 500),
        ("2k", 2000),
        ("1.5MB", 1_500_000),
        ("5 G", 5 * 10**9),
        ("2GiB", 2 << 30),
    ],
)
def test_a_size_is_parsed(text: str, amount: int) -> None:
    assert parse_bytes(text, "--keep-bytes") == amount


@pytest.mark.parametrize("text", ["", "G", "-1", "1X", "1 2", "1e9"])
def test_an_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--keep-bytes: invalid size"):
        parse_bytes(text, "--keep-bytes")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("12h", 43200), ("1.5d", 129600)])
def test_an_age_is_parsed(text: str, seconds: float) -> None:
    assert parse_age(text, "--older-than") == seconds
    with pytest.raises(UsageError):
        parse_age(text[:-1], "--older-than")


def test_an_age_is_printed_in_its_largest_unit() -> None:
    assert [age_text(s) for s in (5, 61, 7300, 86400, 200000)] == [
        "now",
        "1 minute",
        "2 hours",
        "1 day",
        "2 days",
    ]
