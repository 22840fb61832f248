"""Checks that links within the tree lead somewhere."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from checks.markdown import anchors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checks.findings import Finding
    from checks.texts import Text
    from checks.tree import Tree

_LINK = re.compile(r"\]\([ \t]*<?([^)\s>]+)>?(?:[ \t]+\"[^\"\n]*\")?[ \t]*\)")
_REFERENCE = re.compile(r"^[ ]{0,3}\[[^\]\n]+\]:[ \t]*<?([^\s>]+)", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-zA-Z][\w+.-]*:|//")


def check(tree: Tree, documents: Iterable[Text]) -> Iterator[Finding]:
    """Yield the links of documents that lead nowhere."""
    known: dict[str, set[str]] = {}
    for document in documents:
        for expression in (_LINK, _REFERENCE):
            for found in expression.finditer(document.linked):
                if not _ELSEWHERE.match(found[1]):
                    message = _mistake(tree, known, document.path, found[1])
                    if message:
                        yield from document.finding("names", found.start(1), message)


def _mistake(tree: Tree, known: dict[str, set[str]], path: str, link: str) -> str | None:
    """Return what is wrong with a link."""
    name, _, anchor = unquote(link).partition("#")
    target = path
    if name:
        start = "" if name.startswith("/") else posixpath.dirname(path)
        target = posixpath.normpath(posixpath.join(start, name.lstrip("/")))
    if target != "." and target not in tree.files and target not in tree.folders:
        return f"the link {link} leads nowhere"
    if anchor and target.endswith(".md"):
        if target not in known:
            known[target] = anchors(tree.read(target))
        if anchor not in known[target]:
            return f"{target} has no heading #{anchor}"
    return None
