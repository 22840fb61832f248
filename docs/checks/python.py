"""Reading Python: the prose of comments, docstrings and messages, and the names that it defines."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import TYPE_CHECKING

from checks.findings import Lines
from checks.texts import VALUE, Text, blank, quoted, without_code

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILLED = re.compile(r"\{(?!\{)[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_ESCAPE = re.compile(r"\\[abfnrtv'\"\\\n]")
# Where a string ends and the next line goes on with it.
_SEAM = re.compile(r"(['\"])[ \t]*\n[ \t]*[a-zA-Z]{0,2}\1")


def read_python(path: str, source: str) -> Text:
    """Return the prose of a module: comments, and strings that hold more than one word."""
    lines = Lines(source)
    mask = list(blank(source))
    for start, end, text in [*_strings(source, lines), *_comments(source, lines)]:
        mask[start:end] = text
    prose = "".join(mask)
    return Text(path, source, without_code(prose), list(quoted(prose)))


def defined(source: str) -> Iterator[tuple[int, int, str]]:
    """Yield line, column and name of every class and function of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words = {ast.ClassDef: "class ", ast.FunctionDef: "def "}.get(type(node), "async def ")
            yield node.lineno, node.col_offset + len(words) + 1, node.name


def _comments(source: str, lines: Lines) -> Iterator[tuple[int, int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            start = lines.offset(*token.start)
            # Comments of their own lines make one paragraph.
            before = start - token.start[1]
            if not source[before:start].strip():
                start = before
            end = lines.offset(*token.end)
            yield start, end, re.sub(r"^([ \t]*)#", r"\1 ", source[start:end])


def _strings(source: str, lines: Lines) -> Iterator[tuple[int, int, str]]:
    in_bytes = source.encode().split(b"\n")

    def offset(line: int, column: int) -> int:
        return lines.offset(line, len(in_bytes[line - 1][:column].decode()))

    for node in _string_nodes(ast.parse(source)):
        if node.end_lineno is None or node.end_col_offset is None or not _is_prose(node):
            continue
        start = offset(node.lineno, node.col_offset)
        end = offset(node.end_lineno, node.end_col_offset)
        text = source[start:end]
        if isinstance(node, ast.JoinedStr):
            text = _FILLED.sub(lambda m: blank(m[0], VALUE), text)
        text = _SEAM.sub(lambda m: blank(m[0], " "), text)
        yield start, end, _ESCAPE.sub(lambda m: blank(m[0], " "), text)


def _string_nodes(node: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Yield all strings, without those inside of other strings."""
    if isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    ):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _string_nodes(child)


def _is_prose(node: ast.Constant | ast.JoinedStr) -> bool:
    """Tell messages from keys and names, which are one word."""
    pieces = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = (str(piece.value) for piece in pieces if isinstance(piece, ast.Constant))
    return any(re.search(r"\s", text.strip() or text) for text in texts)
