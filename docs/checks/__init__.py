"""Checks of documents, docstrings and messages: `check` returns all findings of a tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checks import invocations, links, paths, words
from checks.markdown import read_markdown
from checks.python import read_python
from checks.schemas import read_schema
from checks.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checks.findings import Finding
    from checks.known import Known
    from checks.texts import Text

DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *("docs/**/*.md", "pkg/*/README.md", "kernel/**/README.md"),
)
# Documents that name retired words on purpose: the list itself, and what was true once.
HISTORY = (words.GLOSSARY, "CHANGELOG.md")
PROSE_IN_CODE = ("assembler/**/*.py", "cmd/**/*.py")
NAMES_IN_CODE = (*PROSE_IN_CODE, "bench/**/*.py")
IDENTIFIERS = (*NAMES_IN_CODE, "docs/**/*.py", "test/**/*.py")
SCHEMAS = ("schema/*.json",)


def check(root: Path, known: Known) -> list[Finding]:
    """Return what is wrong in the documents and texts of a tree, in the order of their places."""
    tree = Tree(root)
    documents = [read_markdown(path, tree.read(path)) for path in tree.matching(DOCUMENTS)]
    code = [read_python(path, tree.read(path)) for path in tree.matching(NAMES_IN_CODE)]
    findings = list(_names(tree, known, [*documents, *code]))
    findings += links.check(tree, documents)
    findings += _words(tree, documents, code)
    return sorted(set(findings))


def _names(tree: Tree, known: Known, texts: list[Text]) -> Iterator[Finding]:
    for text in texts:
        yield from paths.check(tree, text)
        yield from invocations.check(tree, known, text)


def _words(tree: Tree, documents: list[Text], code: list[Text]) -> Iterator[Finding]:
    glossary = words.read_glossary(tree)
    yield from glossary.mistakes
    prose = [text for text in documents if text.path not in HISTORY]
    spoken = set(tree.matching(PROSE_IN_CODE))
    prose += [text for text in code if text.path in spoken]
    prose += [read_schema(path, tree.read(path)) for path in tree.matching(SCHEMAS)]
    for text in prose:
        yield from words.check_prose(glossary, text)
    for path in tree.matching(IDENTIFIERS):
        yield from words.check_identifiers(glossary, path, tree.read(path))
