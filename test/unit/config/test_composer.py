"""From YAML text to data with positions, and what is said about text that is not YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assembler.config.composer import compose_input
from assembler.config.inputs import ConfigInput
from assembler.errors import ConfigError


def data_of(text: str | bytes) -> Any:
    """Return what a text says."""
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return compose_input(ConfigInput("x.yml", content, Path())).data


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("null", None),
        ("---\n", None),
        ("{}", {}),
        ("a: b\n...\n", {"a": "b"}),
        ("\ufeffa: b\r\nc: d\r\n", {"a": "b", "c": "d"}),
        ("a: b".encode("utf-16"), {"a": "b"}),
        ('{"a":"b","c":[1,true,null]}', {"a": "b", "c": [1, True, None]}),
        ('{\n\t"a": [\n\t\t"b"\n\t]\n}\n', {"a": ["b"]}),
        ("a:\tb\nc:\t# comment\n  d\n", {"a": "b", "c": "d"}),
        (r'a: "\ud83d\ude00"', {"a": "😀"}),
        ("%YAML 1.1\n---\na: yes", {"a": "yes"}),
        ("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\n", {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}),
        ("b: {q: 3, <<: [{q: 4, r: 5}, {r: 6}]}", {"b": {"q": 3, "r": 5}}),
        ('"<<": 1', {"<<": 1}),
        ("a: |\n  x\n   y\n\nb: >-\n  p\n  q\n", {"a": "x\n y\n", "b": "p q"}),
        ("? a\n: b\n? c", {"a": "b", "c": None}),
        ("a: x\u2028y\nb: c\n", {"a": "x\u2028y", "b": "c"}),
    ],
)
def test_a_text_is_composed_to_data(text: str | bytes, data: object) -> None:
    """Texts mean what they mean to LinuxKit's reader."""
    assert data_of(text) == data


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("", "DM0006", "x.yml"),
        ("# only this\n", "DM0006", "x.yml"),
        (b"a: \xff", "DM0005", "x.yml:1:4"),
        (b"\xff\0\xfe\0", "DM0005", "x.yml"),
        (b"\x7fELF\x02\x01\0\0\xf0", "DM0005", "x.yml"),
        ("ab\n\n c: \x01", "DM0007", "x.yml:3:5"),
        ("a: [1,\n b", "DM0010", "x.yml:2:3"),
        ("services:\n  - name: a\n   image: b\n", "DM0010", "x.yml:3:4"),
        ("a: b: c", "DM0010", "x.yml:1:5"),
        ("a: @b", "DM0010", "x.yml:1:4"),
        ("a: 'b\n", "DM0010", "x.yml:1:6"),
        ("a:\n\t- b", "DM0011", "x.yml:2:1"),
        ("a: b\tc: d", "DM0011", "x.yml:1:6"),
        ("a: 1\nb: 2\na: 3", "DM0012", "x.yml:3:1"),
        ("1: x", "DM0013", "x.yml:1:1"),
        ("true: x", "DM0013", "x.yml:1:1"),
        ("{a: {[b]: c}}", "DM0013", "x.yml:1:6"),
        ("a: b\n---\nc: d\n", "DM0014", "x.yml:2:1"),
        ("[" * 41, "DM0015", "x.yml:1:41"),
        ("[" + "1," * 20_001 + "]", "DM0016", "x.yml:1:40002"),
        ("a: *b", "DM0017", "x.yml:1:4"),
        ("a: &b [*b]", "DM0017", "x.yml:1:8"),
        ("a: !secret b", "DM0018", "x.yml:1:4"),
        ("a: " + "!" * 1000, "DM0010", "x.yml:1:4"),
        ("<<: 5", "DM0019", "x.yml:1:5"),
        ("a: !!int b", "DM0020", "x.yml:1:4"),
        (r'a: "\ud800"', "DM0020", "x.yml:1:4"),
        (r'b: "\UFFFFFFFF"', "DM0020", "x.yml:1:5"),
        ("a: b\n...\n%YAML 1." + "9" * 5000 + "\n--- c", "DM0020", "x.yml:2:1"),
    ],
)
def test_invalid_yaml_is_refused_at_its_place(text: str | bytes, code: str, place: str) -> None:
    """Each fault has its code and the place where it is."""
    with pytest.raises(ConfigError) as caught:
        data_of(text)
    (diagnostic,) = caught.value.diagnostics
    assert (str(diagnostic.code), str(diagnostic.place)) == (code, place)


def test_values_and_keys_know_their_places() -> None:
    """Every value has a place, and every key another, whatever the line ends."""
    document = compose_input(
        ConfigInput("x.yml", b'# c\r\na:\r\n  - {b: cd}\r\n  - "e"\r\nf: |\r\n  g\r\n', Path())
    )
    positions = document.positions
    assert str(positions.place_of("a", 0, "b")) == "x.yml:3:9"
    place = positions.place_of("a", 0, "b")
    assert place is not None
    assert place.length == 2
    assert str(positions.lookup("a", 0, "b").key) == "x.yml:3:6"
    assert str(positions.place_of("a", 1)) == "x.yml:4:5"
    assert str(positions.place_of("f")) == "x.yml:5:4"
    assert str(positions.place_of("a", 7, "nothing")) == "x.yml:3:3"


def test_an_alias_is_where_it_stands_and_its_content_where_it_was_written() -> None:
    """Mistakes about an alias point at it, mistakes inside at the marked text."""
    positions = compose_input(ConfigInput("x.yml", b"a: &x {b: c}\nd: *x\n", Path())).positions
    assert str(positions.place_of("d")) == "x.yml:2:4"
    assert str(positions.place_of("d", "b")) == "x.yml:1:11"


def test_a_bomb_of_aliases_is_refused() -> None:
    """Aliases count as much as they stand for."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for one, two in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{two}: &{two} [" + ",".join([f"*{one}"] * 9) + "]")
    with pytest.raises(ConfigError, match="20,000 values"):
        data_of("\n".join(lines))
