"""`dolmen explain`, and the documents that are generated from the same tables."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from assembler.codes import STAGES, Code, all_codes, code_of
from assembler.config.schemas import KINDS, load_schema, resolve_reference

if TYPE_CHECKING:
    from support.cli import Dolmen

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("asked", ["DM0114", "dm0114", "114", "0114", "DM114"])
def test_a_code_in_any_spelling(dolmen: Dolmen, asked: str) -> None:
    """The code of a message is all one needs."""
    result = dolmen.run("explain", asked)
    assert result.returncode == 0
    assert result.stdout.startswith("DM0114: An unknown volume\n\n")


def test_a_search_word(dolmen: Dolmen) -> None:
    """A word finds the codes that speak of it."""
    result = dolmen.run("explain", "tmpfs")
    assert "DM0121  An invalid tmpfs mount" in result.stdout


def test_each_code_is_in_the_module_of_its_range() -> None:
    """A code is found by its text; an unknown one is an error that callers expect."""
    assert [code_of(text) for text in all_codes()] == list(all_codes().values())
    for unknown in ("DM0099", "DM9999"):
        with pytest.raises(KeyError):
            code_of(unknown)


def test_all_codes(dolmen: Dolmen) -> None:
    """Without a code all are listed."""
    lines = dolmen.run("explain").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(all_codes())
    found = json.loads(dolmen.run("explain", "--json").stdout)
    assert [entry["code"] for entry in found] == list(all_codes())


def test_a_code_that_does_not_exist(dolmen: Dolmen) -> None:
    """The nearest ones are named."""
    result = dolmen.run("explain", "DM0199")
    assert result.returncode == 2
    assert "unknown code DM0199" in result.stderr
    assert "DM0201: " not in result.stderr
    assert "DM0901: " in dolmen.run("explain", "DM0900").stderr
    assert ": " not in dolmen.run("explain", "frobnicate").stderr.splitlines()[1][8:]
    assert "An unknown volume" in dolmen.run("explain", "volumee").stderr


def test_codes_are_unique_and_explained() -> None:
    """No number is used twice, and each explanation is a sentence or more."""
    modules = [importlib.import_module(f"assembler.codes.{stage}") for stage in STAGES]
    codes = [c for m in modules for c in vars(m).values() if isinstance(c, Code)]
    numbers = [c.number for c in codes]
    assert sorted(set(numbers)) == sorted(numbers)
    for code in codes:
        assert code.explanation.endswith((".", "`")), code
        assert not code.title.endswith("."), code


def generator() -> Any:
    """Return docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["reference-yaml.md", "errors.md"])
def test_generated_documents_are_not_stale(name: str) -> None:
    """They are what the schemas and tables say now."""
    made = generator().documents()[DOCS / name]
    assert (DOCS / name).read_text("utf-8") == made, "run `make docs`"


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_lists_every_key(kind: str) -> None:
    """Each key of the schemas stands in a table, with its description."""
    text = (DOCS / "reference-yaml.md").read_text("utf-8")
    whole = load_schema(kind)
    seen: set[int] = set()

    def look(piece: dict[str, Any]) -> None:
        piece = resolve_reference(kind, piece)
        if id(piece) in seen:
            return
        seen.add(id(piece))
        for key, inner in piece.get("properties", {}).items():
            described = resolve_reference(kind, inner)["description"].replace("|", "&#124;")
            assert f"| `{key}` |" in text
            assert described in text, key
            look(inner)
        if "items" in piece:
            look(piece["items"])

    look(whole)
    assert len(seen) > 20
