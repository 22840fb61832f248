"""Checks that paths and modules exist that texts name."""

from __future__ import annotations

import re
from itertools import chain, product, zip_longest
from typing import TYPE_CHECKING

from checks.texts import VALUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checks.findings import Finding
    from checks.texts import Span, Text
    from checks.tree import Tree

FOLDERS = (
    *("assembler", "bench", "cmd", "docs", "examples", "kernel", "packaging"),
    *("pkg", "schema", "test"),
)
# What examples call a user's own directories and files.
EXAMPLES = {"pkg/web", "pkg/runc/debs.lock"}
_PART = r"(?:[\w.+*…\x01-]|\{[\w,.*-]+\})+"
_PATH = re.compile(
    rf"(?<![\w./~$@:\\<>\x01-])(?:\./)?((?:{'|'.join(FOLDERS)})/{_PART}(?:/{_PART})*)"
)
_SOURCE = re.compile(rf"(?<![\w./~$\x01-])((?:{_PART}/)*[\w*…-]+\.(?:py|go))(?![\w/-])")
_MODULE = re.compile(r"(?<![\w./~@-])((?:assembler|dolmen)(?:\.[A-Za-z_][\w-]*)+)(?![\w/])")
_CHOICE = re.compile(r"\{([\w,.*-]+)\}")
_PLACEHOLDER = re.compile(r"(?<![a-z0-9])[A-Z][A-Z_]*[A-Z](?![a-z0-9])")


def check(tree: Tree, text: Text) -> Iterator[Finding]:
    """Yield what does not exist in a text's quoted code."""
    for span in text.spans:
        yield from _paths(tree, text, span)
        if not span.is_block:
            yield from _modules(tree, text, span)


def _paths(tree: Tree, text: Text, span: Span) -> Iterator[Finding]:
    for expression, exists in ((_PATH, tree.has), (_SOURCE, tree.has_ending)):
        if span.is_block and expression is _SOURCE:
            continue
        for found in expression.finditer(span.text):
            name = found[1].rstrip(".,-")
            if expression is _SOURCE and name.partition("/")[0] in FOLDERS:
                continue
            if name not in EXAMPLES and not all(
                any(exists(reading) for reading in _readings(choice)) for choice in _choices(name)
            ):
                yield from text.finding("names", span.start + found.start(1), _missing(name))


def _missing(name: str) -> str:
    return f"{name.replace(VALUE, '*')} does not exist"


def _choices(name: str) -> Iterator[str]:
    """Yield all names that one with choices in braces stands for."""
    pieces = _CHOICE.split(name)
    for chosen in product(*(part.split(",") for part in pieces[1::2])):
        yield "".join(chain.from_iterable(zip_longest(pieces[::2], chosen, fillvalue="")))


def _readings(name: str) -> Iterator[str]:
    """Yield a name as it stands, and with its placeholders as patterns."""
    plain = re.sub(rf"[…{VALUE}]+", "*", name)
    yield plain
    if _PLACEHOLDER.search(plain):
        yield _PLACEHOLDER.sub("*", plain)


def _modules(tree: Tree, text: Text, span: Span) -> Iterator[Finding]:
    for found in _MODULE.finditer(span.text):
        name = found[1]
        if name in tree.settings or tree.has_module(name):
            continue
        yield from text.finding("names", span.start + found.start(1), f"{name} does not exist")
