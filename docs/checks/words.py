"""Checks that words and names are not used that the glossary retires."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from checks.python import defined
from checks.texts import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checks.findings import Finding
    from checks.tree import Tree

GLOSSARY = "docs/glossary.md"
_SECTION = re.compile(r"^## Retired words[ \t]*\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\|(.*)\|[ \t]*$", re.MULTILINE)
_RULE = re.compile(r"[\s|:-]*")
_CELLS = re.compile(r"(?<!\\)\|")
_QUOTED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Retired:
    """A word, or a pattern of names, and what to write."""

    word: str
    write: str


@dataclass(frozen=True, slots=True)
class Glossary:
    """What the glossary retires, in prose and as names in the code."""

    words: tuple[Retired, ...] = ()
    identifiers: tuple[Retired, ...] = ()
    mistakes: tuple[Finding, ...] = ()


def read_glossary(tree: Tree) -> Glossary:
    """Return what the glossary retires: nothing, if there is none."""
    if GLOSSARY not in tree.files:
        return Glossary()
    text = Text(GLOSSARY, tree.read(GLOSSARY), "")
    words: list[Retired] = []
    identifiers: list[Retired] = []
    mistakes: list[Finding] = []
    for section in _SECTION.finditer(text.source):
        for row in list(_ROW.finditer(text.source, section.start(1), section.end(1)))[1:]:
            if _RULE.fullmatch(row[1]):
                continue
            first, write, where, *_ = [c.strip() for c in _CELLS.split(row[1])] + ["", ""]
            retired = [Retired(word, write) for word in _QUOTED.findall(first)]
            if not retired:
                mistakes += text.finding("words", row.start(), "no word in backticks in this row")
            for one in retired:
                if one.word in re.split(r"[,;`\s]+", write):
                    said = f"'{one.word}' is both retired and to be written"
                    mistakes += text.finding("words", row.start(), said)
                else:
                    (identifiers if "identifier" in where else words).append(one)
    return Glossary(tuple(words), tuple(identifiers), tuple(mistakes))


def check_prose(glossary: Glossary, text: Text) -> Iterator[Finding]:
    """Yield the retired words of a text; of a generated one, its source is checked."""
    if text.is_generated:
        return
    for retired in glossary.words:
        phrase = r"(?:[ \t]+|[ \t]*\n[ \t]*)".join(re.escape(word) for word in retired.word.split())
        for found in re.finditer(rf"(?<![\w-]){phrase}(?![\w-])", text.prose, re.IGNORECASE):
            yield from text.finding("words", found.start(), _message(retired))


def check_identifiers(glossary: Glossary, path: str, source: str) -> Iterator[Finding]:
    """Yield the retired names that a module has or defines; `*` stands for any part of one."""
    if not glossary.identifiers:
        return
    text = Text(path, source, "")
    module = PurePosixPath(path)
    stem = module.parent.name if module.name == "__init__.py" else module.stem
    for line, column, name in [(1, 1, stem), *defined(source)]:
        for retired in glossary.identifiers:
            if fnmatchcase(name.lstrip("_"), retired.word):
                offset = text.lines.offset(line, column - 1)
                yield from text.finding("words", offset, _message(retired))


def _message(retired: Retired) -> str:
    return f"'{retired.word}' is retired: write {retired.write}"
