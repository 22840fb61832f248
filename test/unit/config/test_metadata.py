"""The merged configuration as text: like LinuxKit's, and always an image.yml again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.config import (
    ConfigInput,
    LoadOptions,
    load_config_inputs,
    render_config,
    render_metadata,
)
from assembler.config.composer import compose_input
from assembler.config.emitter import emit_yaml
from assembler.errors import ConfigError
from assembler.oci.reference import Reference

if TYPE_CHECKING:
    from assembler.config.model import Config

CASES = Path(__file__).parents[2] / "conformance" / "open"
WITH_METADATA = sorted(
    path.parent
    for path in CASES.glob("*/image.yml")
    if ("metadata: json" in path.read_text() or "metadata: yaml" in path.read_text())
    # Names of packages are another stage's.
    and (path.parent / "expected.jsonl").exists()
    and not (path.parent / "pkgs").exists()
)
QUIET = LoadOptions(check_sources=False)


def essence(value: Any) -> Any:
    """Drop what LinuxKit writes though it is not set, and what it names differently."""
    if isinstance(value, dict):
        kept = {k.lower(): essence(v) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v not in (None, "", [], {}, False)}
    return [essence(v) for v in value] if isinstance(value, list) else value


def recorded(case: Path) -> list[tuple[str, Any]]:
    """Return form and content of the files with metadata that LinuxKit has made."""
    found = []
    for line in (case / "expected.jsonl").read_text("utf-8").splitlines():
        entry = json.loads(line)
        if entry.get("pax", {}).get("LINUXKIT.source") == "linuxkit.files":
            if "yamltree" in entry:
                found.append(("yaml", entry["yamltree"]))
            elif "json" in entry:
                found.append(("json", entry["json"]))
    return found


def full_name(name: str) -> str:
    """Return the whole name of an image, with its tag only where one was given."""
    return str(Reference.parse(name))


@pytest.mark.parametrize("case", WITH_METADATA, ids=lambda case: case.name)
def test_metadata_equals_what_linuxkit_recorded(case: Path) -> None:
    """What LinuxKit has recorded of the merged configuration is what is rendered."""
    given_input = ConfigInput("image.yml", (case / "image.yml").read_bytes(), case)
    config = load_config_inputs([given_input], QUIET).config
    expected = recorded(case)
    assert expected
    for form, content in expected:
        text = render_metadata(config, form, full_name)
        made = json.loads(text) if form == "json" else yaml.safe_load(text)
        assert list(made) == [k for k in content if k in made]
        assert essence(made) == essence(content)


@pytest.mark.parametrize("case", sorted(CASES.glob("*/image.yml")), ids=lambda p: p.parent.name)
def test_a_rendered_config_loads_as_the_same_config(case: Path) -> None:
    """Both forms of metadata and the merged YAML are read as the same configuration."""
    try:
        config = load_config_inputs(
            [ConfigInput("a.yml", case.read_bytes(), case.parent)], QUIET
        ).config
    except ConfigError:
        return  # what is refused is tested elsewhere

    def read(text: str) -> Config:
        return load_config_inputs([ConfigInput("b.yml", text.encode(), Path())], QUIET).config

    assert read(render_config(config)) == replace(config, trust=None)
    for form in ("json", "yaml"):
        text = render_metadata(config, form)
        assert render_metadata(read(text), form) == text


def test_a_file_in_metadata_has_its_keys_in_linuxkits_order() -> None:
    text = (
        "files: [{path: a, uid: 1, mode: '0600', contents: x}, "
        "{path: b, source: s, optional: true}, "
        "{path: c, optional: true, source: s, gid: 2}, {path: d, directory: true}]"
    )
    config = load_config_inputs([ConfigInput("a.yml", text.encode(), Path())], QUIET).config
    files = json.loads(render_metadata(config, "json"))["files"]
    assert [list(file.items()) for file in files] == [
        [
            ("path", "a"),
            ("directory", False),
            ("contents", "x"),
            ("optional", False),
            ("mode", "0600"),
            ("uid", 1),
        ],
        [("path", "b"), ("directory", False), ("source", "s"), ("optional", True)],
        [("path", "c"), ("directory", False), ("source", "s"), ("optional", True), ("gid", 2)],
        [("path", "d"), ("directory", True), ("optional", False)],
    ]


_ODD = [
    "",
    "yes",
    "0644",
    "1e3",
    "~",
    "- a",
    "a: b",
    "#x",
    "x #y",
    "a\n b\n",
    "\na",
    "a\n\n",
    " a\nb",
    "a\n\n\nb\n\n",
    "@x",
    "'",
    '"',
    "\t",
    "a\tb\nc",
    "a \nb",
    "a\r\nb",
    "\u2028",
    "---\na",
    "<<",
    "!x",
]
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), max_size=40)
_TEXT |= st.sampled_from(_ODD)
_PLAIN = st.recursive(
    _TEXT | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.dictionaries(_TEXT, _PLAIN, max_size=4))
def test_emitted_yaml_loads_as_the_same_data(data: dict[str, Any]) -> None:
    """What is emitted is read as the same data, by the own reader and by another."""
    text = emit_yaml(data)
    assert compose_input(ConfigInput("x.yml", text.encode(), Path())).data == data
    assert yaml.safe_load(text) == data
