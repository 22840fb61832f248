"""Whatever the text: it is accepted, or refused with diagnostics; nothing else comes out."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from assembler.config import (
    ConfigInput,
    LoadOptions,
    load_config_inputs,
    parse_label,
    read_build_file,
)
from assembler.config.emitter import emit_yaml
from assembler.config.schemas import load_schema
from assembler.errors import DolmenError
from assembler.oci.reference import Reference

CASES = Path(__file__).parents[2] / "conformance" / "open"
VALID = [path.read_text("utf-8") for path in sorted(CASES.glob("*/*.yml"))]
OPTIONS = LoadOptions(check_reference=Reference.parse, check_sources=False)
BOUNDED = settings(max_examples=150, deadline=None, derandomize=True)
MARKS = [
    *"[]{}:,-?&*!|>'\"%@`#\n\t ~<\0",
    "\r\n",
    "---",
    "...",
    "<<: ",
    "- ",
    ": ",
    "&a ",
    "*a",
    "\\u",
]


def survives(content: bytes) -> None:
    """Read the content as every kind of file there is."""
    given_input = ConfigInput("x.yml", content, Path())
    label = content.decode("utf-8", "replace")
    for read in (
        lambda: load_config_inputs([given_input], OPTIONS),
        lambda: read_build_file(given_input),
        lambda: parse_label(label, "image", names=()),
    ):
        refused = None
        try:
            read()
        except DolmenError as error:
            refused = error
        assert refused is None or str(refused)


@BOUNDED
@given(st.binary(max_size=60))
@example(b"\xff\xfea")
@example(b"\xef\xbb\xbf")
def test_any_bytes_are_loaded_or_refused(content: bytes) -> None:
    """Bytes that are no text are refused."""
    survives(content)


@BOUNDED
@given(st.lists(st.sampled_from([*MARKS, "a", "init", "services", "1", "name"]), max_size=30))
@example(["%YAML 1.1", "\n", "---", "a"])
@example(["&a ", "a", ": ", "*a"])
@example(['"', "\\u", "d", '"'])
def test_any_yaml_indicators_are_loaded_or_refused(pieces: list[str]) -> None:
    """YAML's own characters in any order are read or refused."""
    survives("".join(pieces).encode())


@BOUNDED
@given(st.integers(0, len(VALID) - 1), st.integers(0, 2**32))
def test_a_mutated_file_is_loaded_or_refused(index: int, seed: int) -> None:
    """A valid file with a few pieces lost, doubled or moved is accepted or refused."""
    chance = random.Random(seed)
    text = VALID[index]
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.randint(0, 12))
        piece = chance.choice([*MARKS, "", text[start:end] * 2, str(chance.randint(-5, 2**70))])
        text = text[:start] + piece + text[end:]
    survives(text.encode())


_KEYS = sorted(
    {
        key
        for piece in [
            load_schema("image"),
            load_schema("build"),
            *load_schema("image")["$defs"].values(),
        ]
        for key in piece.get("properties", {})
    }
)
_LEAF = st.sampled_from(
    [None, True, False, 0, -1, 2**64, 1.5, "", "a", "a:b", "/a:/b", "CAP_KILL", "all"]
)
_TREE = st.recursive(
    _LEAF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
    ),
    max_leaves=15,
)


@BOUNDED
@given(st.dictionaries(st.sampled_from(_KEYS), _TREE, max_size=4))
def test_known_keys_with_any_values_are_loaded_or_refused(data: dict[str, object]) -> None:
    """Keys that exist, with values of every type, in every place."""
    survives(emit_yaml(data).encode())
