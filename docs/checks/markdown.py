"""Reading Markdown: prose, quoted code, fenced blocks, links and headings."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checks.findings import Lines
from checks.texts import Span, Text, blank, quoted, without_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n`]*$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_EXCUSE = re.compile(r"<!--[^\n]*?\b(names|words): ok\b[^\n]*\n[ \t]*\Z")
_SHOWN = {"", "text", "console", "markdown"}
_TARGET = re.compile(r"\]\([^)\n]*\)|^[ \t]*\[[^\]\n]+\]:[^\n]*$", re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$", re.MULTILINE)
_ANCHOR = re.compile(r"<a[^>\n]+(?:id|name)=[\"']([^\"']+)")
_LINK_TEXT = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_GENERATED = "<!-- Made by "


@dataclass(frozen=True, slots=True)
class _Block:
    """A fenced block: where its fences begin and end, and what stands between them."""

    opening: int
    start: int
    end: int
    closing: int
    language: str


def read_markdown(path: str, source: str) -> Text:
    """Return a document's prose and code."""
    lines = Lines(source)
    excused: dict[str, set[int]] = {}
    blocks = list(_blocks(source))
    for block in blocks:
        excuse = _EXCUSE.search(source, 0, block.opening)
        if excuse:
            first, last = lines.place(block.start)[0], lines.place(block.end)[0]
            excused.setdefault(excuse[1], set()).update(range(first, last))
    linked = _COMMENT.sub(lambda m: blank(m[0]), _without(source, blocks))
    spans = [Span(b.start, source[b.start : b.end], is_block=True) for b in blocks]
    spans += quoted(linked)
    linked = without_code(linked)
    prose = _TARGET.sub(lambda m: blank(m[0]), linked)
    for block in blocks:
        shown = _shown(source[block.start : block.end], block.language)
        prose = prose[: block.start] + shown + prose[block.end :]
    return Text(
        path,
        source,
        prose,
        sorted(spans, key=lambda span: span.start),
        excused,
        linked,
        is_generated=_GENERATED in source,
    )


def anchors(source: str) -> set[str]:
    """Return what links can point at in a document: its headings, as web sites name them."""
    text = _COMMENT.sub(lambda m: blank(m[0]), _without(source, _blocks(source)))
    seen: Counter[str] = Counter()
    found = set(_ANCHOR.findall(text))
    for heading in _HEADING.findall(text):
        words = re.sub(r"[`*]", "", _LINK_TEXT.sub(r"\1", heading)).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def _blocks(source: str) -> Iterator[_Block]:
    """Yield the fenced blocks."""
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(source):
        if opened is None:
            opened = fence
        elif fence[1].startswith(opened[1]) and not fence[2]:
            yield _Block(opened.start(), opened.end() + 1, fence.start(), fence.end(), opened[2])
            opened = None
    if opened is not None:
        yield _Block(opened.start(), opened.end(), len(source), len(source), opened[2])


def _without(source: str, blocks: Iterable[_Block]) -> str:
    """Return the source without its fenced blocks."""
    for block in blocks:
        inside = blank(source[block.opening : block.closing])
        source = source[: block.opening] + inside + source[block.closing :]
    return source


def _shown(block: str, language: str) -> str:
    """Return the prose of a fenced block: all that a program prints, the comments of a program."""
    if language in _SHOWN:
        return block
    lines = []
    for line in block.splitlines(keepends=True):
        code, mark, comment = line.partition("#")
        lines.append(blank(code + mark) + comment)
    return "".join(lines)
