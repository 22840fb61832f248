"""build.yml's scalars of another type are read as Go's YAML library reads them, with a warning."""

from __future__ import annotations

from typing import Any

import pytest

from assembler.config.build_file import read_build_file
from assembler.diagnostics import Severity
from assembler.errors import ConfigError
from test.unit.config.conftest import given


@pytest.mark.parametrize(
    ("line", "read", "place", "message"),
    [
        (
            "tag: 1.0",
            {"tag": "1.0"},
            (2, 6),
            "`tag` should be text; 1.0 is read as the text '1.0'",
        ),
        ("tag: 0x1F", {"tag": "0x1F"}, (2, 6), "0x1F is read as the text '0x1F'"),
        ("org: true", {"org": "true"}, (2, 6), "true is read as the text 'true'"),
        ("arches: [1_0]", {"arches": ["1_0"]}, (2, 10), "an entry of `arches` should be text"),
        (
            "config: {command: [5]}",
            {"config": {"command": ["5"]}},
            (2, 20),
            "an entry of `command` should be text; 5 is read as the text '5'",
        ),
        (
            "config: {devices: [{path: /dev/tty0, type: c, major: 4, minor: 0, mode: 0666}]}",
            {
                "config": {
                    "devices": [
                        {"path": "/dev/tty0", "type": "c", "major": 4, "minor": 0, "mode": "0666"}
                    ]
                }
            },
            (2, 73),
            "`mode` should be text; 0666 is read as the text '0666'",
        ),
        (
            "config: {sysctl: {net.ipv4.ip_forward: 1}}",
            {"config": {"sysctl": {"net.ipv4.ip_forward": "1"}}},
            (2, 40),
            "1 is read as the text '1'",
        ),
        ("network: yes", {"network": True}, (2, 10), "yes is read as true"),
        ("disable-cache: Off", {"disable-cache": False}, (2, 16), "Off is read as false"),
        ("config: {readonly: on}", {"config": {"readonly": True}}, (2, 20), "on is read as true"),
        ("arches:", {}, (2, 1), "`arches` has no value, and is ignored"),
        ("org: ~", {}, (2, 1), "`org` has no value"),
        ("config: {capabilities: }", {"config": {}}, (2, 10), "`capabilities` has no value"),
        ("config:", {}, (2, 1), "`config` has no value"),
        ("arches: [~, amd64]", {"arches": ["amd64"]}, (2, 10), "an entry of `arches` has no value"),
    ],
)
def test_a_scalar_of_another_type_is_a_warning_at_its_place(
    line: str, read: dict[str, Any], place: tuple[int, int], message: str
) -> None:
    document = read_build_file(given(f"image: x\n{line}\n"))
    assert document.data == {"image": "x", **read}
    (warning,) = document.warnings
    assert warning.severity is Severity.WARNING
    assert warning.place is not None
    assert (warning.place.line, warning.place.column) == place
    assert message in warning.message


def test_an_alias_and_a_merged_key_keep_the_text_of_the_number() -> None:
    text = "image: x\ntag: &t 0644\norg: *t\nconfig:\n  sysctl: {<<: {a: 010}, b: *t}\n"
    data = read_build_file(given(text)).data
    assert (data["tag"], data["org"]) == ("0644", "0644")
    assert data["config"]["sysctl"] == {"a": "010", "b": "0644"}


def test_the_places_after_an_empty_entry_are_those_of_the_file() -> None:
    document = read_build_file(given("image: x\nbuildArgs:\n- ~\n- A=1\n"))
    place = document.positions.place_of("buildArgs", 0)
    assert place is not None
    assert place.line == 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("image:", "`image` has no value"),
        ("image: x\nnetwork: maybe", "`network` must be true or false"),
        ("image: x\nnetwork: 1", "`network` must be true or false"),
        ("image: x\ntag: [1]", "`tag` must be text"),
        ("image: x\narches: 5", "`arches` must be a list of texts"),
        ("image: x\nconfig: {oomScoreAdj: '5'}", "`oomScoreAdj` must be a whole number"),
        ("image: x\nconfig: {devices: [{path: /a, type: c, mode: 0999}]}", "'0999'"),
    ],
)
def test_other_types_are_errors(line: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_build_file(given(line + "\n"))
    errors = [d for d in caught.value.diagnostics if d.severity is Severity.ERROR]
    assert [message in d.message for d in errors] == [True]


def test_data_of_the_right_types_is_not_changed() -> None:
    text = "image: x\nnetwork: true\ntag: '5'\nconfig: {uid: 5, oomScoreAdj: -3, binds: []}\n"
    document = read_build_file(given(text))
    assert document.warnings == ()
    assert document.data["config"] == {"uid": 5, "oomScoreAdj": -3, "binds": []}
