"""Words and names that the glossary retires are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Sandbox

GLOSSARY = """\
# Glossary

| term | meaning |
|---|---|
| `plan` | parts |

## Retired words

| instead of | write | where |
|---|---|---|
| `anew` | again | |
| `has a say in`, `by way of` | affects | |
| `Wish` | Options | identifier |
| `told*` | known | identifier |

## Other

| `plan` | scheme |
|---|---|
"""
ANEW = "'anew' is retired: write again"


@pytest.fixture
def tree(tree: Sandbox) -> Sandbox:
    """Give a tree with a glossary."""
    tree.write("docs/glossary.md", GLOSSARY)
    return tree


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It starts anew.", ["1:11: " + ANEW]),
        ("Anew, it\nstarts (anew).", ["1:1: " + ANEW, "2:9: " + ANEW]),
        ("This has a\nsay in that.", ["1:6: 'has a say in' is retired: write affects"]),
        ("- by  way of x", ["1:3: 'by way of' is retired: write affects"]),
        ("[anew](store.md)", ["1:2: " + ANEW]),
        ("## Anew\n", ["1:4: " + ANEW]),
        ("```\nstarts anew\n```", ["2:8: " + ANEW]),
        ("```yaml\nanew: 1  # starts anew\n```", ["2:19: " + ANEW]),
    ],
)
def test_retired_words_are_found_in_documents(tree: Sandbox, text: str, found: list[str]) -> None:
    assert tree.found_in("docs/text.md", text) == found


@pytest.mark.parametrize(
    "text",
    [
        "A renewal, anewly, an-anew, anew-x, an_anew.",
        "The key `anew`, and `x\nanew`.",
        "```yaml\nanew: 1\n```",
        "<!-- anew -->",
        "[x](https://example.org/anew)",
        "This has a\n\nsay in that.",
        "It starts anew. <!-- words: ok -->",
        "<!-- words: ok -->\n```\nstarts\nanew\n```",
        "<!-- Made by `make docs`; changes belong in schema/. -->\nIt starts anew.",
        "The plan, Wish.",
    ],
)
def test_other_words_are_left_alone(tree: Sandbox, text: str) -> None:
    assert tree.found_in("docs/text.md", text) == []


def test_the_past_is_told_in_its_own_words(tree: Sandbox) -> None:
    assert tree.found_in("CHANGELOG.md", "Starts anew.") == []


def test_retired_words_are_found_in_comments_docstrings_and_messages(tree: Sandbox) -> None:
    found = tree.found_in(
        "assembler/text.py",
        '''
        """Start anew, by
        way of x; not `anew`."""

        # This … has a
        # say in that.
        anew = "anew"
        x = {"anew": f"{anew} anew" "… by "
             "way of", "it": "\\nanew it"}  # Anew.
        z = "é by", "way of"
        y = "it is anew"  # words: ok
        ''',
    )
    way = "'by way of' is retired: write affects"
    assert found == [
        f"2:10: {ANEW}",
        f"2:16: {way}",
        "5:10: 'has a say in' is retired: write affects",
        f"8:23: {ANEW}",
        f"8:32: {way}",
        f"9:25: {ANEW}",
        f"9:38: {ANEW}",
    ]


def test_code_outside_of_the_product_may_speak_as_it_likes(tree: Sandbox) -> None:
    assert tree.found_in("test/text.py", "# Anew.\n") == []


def test_retired_words_are_found_in_schemas(tree: Sandbox) -> None:
    schema = '{\n  "anew": {"description": "Not \\"anew\\".", "default": "made anew"}\n}\n'
    assert tree.found_in("schema/image.schema.json", schema) == [f"2:34: {ANEW}"]


def test_retired_names_are_found_where_they_are_defined(tree: Sandbox) -> None:
    found = tree.found_in(
        "test/told_all.py",
        """
        class _Wish:
            async def told(self) -> None: ...
            def untold(self) -> None: ...
        class Wishes: ...
        class Wish: ...  # words: ok
        def wish() -> Wish: ...
        """,
    )
    assert found == [
        "1:1: 'told*' is retired: write known",
        "2:7: 'Wish' is retired: write Options",
        "3:15: 'told*' is retired: write known",
    ]


def test_a_retired_package_is_found(tree: Sandbox) -> None:
    found = tree.found_in("assembler/told/__init__.py", "")
    assert found == ["1:1: 'told*' is retired: write known"]


def test_without_a_glossary_no_word_is_retired(tree: Sandbox) -> None:
    (tree.root / "docs/glossary.md").unlink()
    assert tree.found_in("docs/text.md", "It starts anew.") == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("| plain | again | |", "no word in backticks in this row"),
        ("| `again` | again | |", "'again' is both retired and to be written"),
    ],
)
def test_mistakes_in_the_table_are_found(tree: Sandbox, row: str, message: str) -> None:
    head = "## Retired words\n\n| instead of | write | where |\n|---|---|---|\n"
    assert tree.found_in("docs/glossary.md", head + row + "\n") == [f"5:1: {message}"]
