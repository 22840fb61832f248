"""Diagnostics of a file are in the order of its lines."""

from __future__ import annotations

from assembler.codes import config as codes
from assembler.diagnostics import Diagnostic, Place, SourceText, in_line_order

ONE = SourceText("one.yml", "ab: [x, y, x]\n")
TWO = SourceText("two.yml", "")


def test_diagnostics_are_grouped_by_file_and_sorted_by_line() -> None:
    places = (Place(ONE, 5, 2), None, Place(TWO, 3), Place(ONE, 2, 9), Place(ONE, 2, 1), Place(TWO))
    given = [Diagnostic(codes.WRONG_TYPE, str(n), place) for n, place in enumerate(places)]
    assert [d.message for d in in_line_order(given)] == ["4", "3", "0", "1", "5", "2"]


def test_a_part_of_a_place() -> None:
    place = Place(ONE, 1, 5, 9)
    assert place.part("x") == Place(ONE, 1, 12, 1)
    assert place.part("ab") == place.part("") == place
