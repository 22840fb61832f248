"""What plain scalars mean: as LinuxKit's reader of YAML has it."""

from __future__ import annotations

import math

import pytest

from assembler.config import scalars


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("nULL", "nULL"),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("y", "y"),
        ("0", 0),
        ("-1", -1),
        ("+5", 5),
        ("0644", 0o644),
        ("0o644", 0o644),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("09", 9.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("1:30", "1:30"),
        ("2001-12-14", "2001-12-14"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        (".", "."),
        ("0x", "0x"),
        ("٣", "٣"),
        ("1" * 70, int("1" * 70)),
        ("1" * 71, float("1" * 71)),
        ("9" * 5000, math.inf),
    ],
)
def test_a_plain_scalar_has_linuxkits_type(text: str, value: object) -> None:
    """A plain scalar has the type that LinuxKit's reader gives it."""
    found = scalars.parse_plain(text)
    assert (found, type(found)) == (value, type(value))


def test_nan_is_a_float() -> None:
    """`.nan` is a number that is none."""
    found = scalars.parse_plain(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    ("text", "tag", "value"),
    [("5", "str", "5"), ("0x10", "int", 16), ("5", "float", 5.0), ("true", "bool", True)],
)
def test_a_tag_determines_the_type_of_a_scalar(text: str, tag: str, value: object) -> None:
    """A tag decides what a scalar is."""
    found = scalars.parse_tagged(text, tag)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("text", "tag"), [("x", "int"), ("1", "bool"), ("x", "null")])
def test_a_tag_that_does_not_fit_is_refused(text: str, tag: str) -> None:
    """A tag that promises what the text does not keep is refused."""
    with pytest.raises(ValueError, match="not of the type"):
        scalars.parse_tagged(text, tag)
