"""The quick check says of data what jsonschema says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from assembler.config.fast_validation import conforms
from assembler.config.schema_check import _validator
from assembler.config.schemas import load_schema

CASES = Path(__file__).parents[2] / "conformance"
FILES = [path for path in sorted(CASES.rglob("*.yml")) if path.stat().st_size < 20_000]

_leaves = st.none() | st.booleans() | st.integers(-10, 2**40) | st.floats(allow_nan=False)
_leaves |= st.sampled_from(["", "a", "host", "10M", "/x", "rw", "0644", "all", "CAP_KILL"])
_KNOWN = """image name kernel cmdline services onboot files path mode net resources memory limit
devices runtime mounts type options uid capabilities binds pid ulimits volumes annotations sysctl
nothing"""
_keys = st.sampled_from(_KNOWN.split())
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


def agree(kind: str, data: Any) -> None:
    found = next(_validator(kind, "").iter_errors(data), None)
    assert conforms(data, load_schema(kind), load_schema(kind)) == (found is None), found


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_recorded_file_gets_the_verdict_of_jsonschema(path: Path) -> None:
    try:
        data = YAML(typ="safe").load(path)
        json.dumps(data)
    except Exception:
        pytest.skip("not YAML, or nothing that JSON has")
    agree("image", data)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.dictionaries(_keys, _values, max_size=5))
def test_generated_data_gets_the_verdict_of_jsonschema(data: dict[str, Any]) -> None:
    agree("image", data)
    agree("build", data)


@pytest.mark.parametrize(
    ("value", "types"),
    [
        (1, {"integer", "number"}),
        (1.0, {"number"}),
        (True, {"boolean"}),
        (None, {"null"}),
        ("1", {"string"}),
        ([], {"array"}),
        ({}, {"object"}),
    ],
)
def test_a_value_has_the_types_that_yaml_gives_it(value: object, types: set[str]) -> None:
    every = ("integer", "number", "boolean", "null", "string", "array", "object")
    assert {name for name in every if conforms(value, {"type": name}, {})} == types


def test_every_keyword_of_the_schemas_is_supported() -> None:
    """A rule that is not known is never passed, so files with it would only be slower."""
    assert conforms({"image": "a"}, load_schema("build"), load_schema("build"))
    assert not conforms("a", {"minLength": 1}, {})
