"""The label of an image: checked like a file, its mistakes under the image's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.config import parse_label, render_label
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from assembler.diagnostics import Diagnostic

IMAGE = "docker.io/example/x:1"


def test_a_label_in_json_and_in_yaml() -> None:
    """Both are read, and are the same."""
    as_json = parse_label(
        '{"capabilities": ["CAP_KILL"], "uid": 5, "runtime": {"mkdir": ["/x"]}}', IMAGE
    )
    as_yaml = parse_label("capabilities:\n  - CAP_KILL\nuid: 5\nruntime: {mkdir: [/x]}\n", IMAGE)
    assert as_json == as_yaml
    assert as_json is not None
    assert as_json.runtime is not None
    assert as_json.runtime.mkdir == ("/x",)


@pytest.mark.parametrize("text", ["", "  \n", "null"])
def test_an_empty_label_is_none(text: str) -> None:
    """An empty label is none."""
    assert parse_label(text, IMAGE) is None


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ('{"bogus": 1}', "DM0101", "bogus"),
        ('{"name": "x"}', "DM0141", "`name` cannot be set"),
        ('{"image": "x"}', "DM0141", "`image` cannot be set"),
        ('["a"]', "DM0141", "must be a mapping, not a list"),
        ("just text", "DM0141", "must be a mapping, not the text"),
        ('{"capabilities": ["KILL"]}', "DM0124", "KILL"),
        ('{"uid": "nobody"}', "DM0126", "nobody"),
        ("{", "DM0010", ""),
    ],
)
def test_a_wrong_label_is_refused(text: str, code: str, message: str) -> None:
    """The mistake names the image, and points into the label."""
    with pytest.raises(ConfigError) as caught:
        parse_label(text, IMAGE, names=["web"])
    (diagnostic,) = caught.value.diagnostics
    assert str(diagnostic.code) == code
    assert message in diagnostic.message
    assert str(diagnostic.place).startswith(f"{IMAGE} (label org.mobyproject.config):1:")


def test_names_are_only_looked_up_where_they_are_known() -> None:
    """Without the names of containers an id is taken as it is."""
    spec = parse_label("uid: netd", IMAGE)
    assert spec is not None
    assert spec.uid == "netd"


def test_a_key_without_effect_in_a_label_gives_a_warning() -> None:
    """`.add` belongs into YAML files."""
    told: list[Diagnostic] = []
    parse_label("binds.add: ['/a:/b']", IMAGE, warn=told.append)
    assert [str(d.code) for d in told] == ["DM0128"]


def test_a_label_can_be_written_and_read_again() -> None:
    """What a package says becomes the label that is read again."""
    text = (
        "capabilities: []\nuid: 1\nresources: {blockio: {weight: 5}}\nrootfsPropagation: shared\n"
    )
    spec = parse_label(text, IMAGE)
    assert spec is not None
    assert parse_label(render_label(spec), IMAGE) == spec


def test_labels_are_named_in_mistakes() -> None:
    """An image has two labels."""
    with pytest.raises(ConfigError) as caught:
        parse_label('{"seccomp": 1}', IMAGE, label="org.dolmen.config")
    (diagnostic,) = caught.value.diagnostics
    assert str(diagnostic.place) == f"{IMAGE} (label org.dolmen.config):1:13"
