"""YAML syntax errors: the parser's messages, translated into helpful ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from assembler.codes import config as codes
from assembler.config.inputs import line_and_column
from assembler.diagnostics import Diagnostic, Place, Remark, SourceText
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

# The characters that YAML forbids. A pattern of the allowed ones would take ten times as long to
# compile, at each start.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]"
)

# The beginning of the parser's message, our message, and a hint.
_MESSAGES: tuple[tuple[str, str, str], ...] = (
    (
        "found character '\\t'",
        "a tab, where YAML allows only spaces",
        "indent with spaces",
    ),
    (
        "found character '@'",
        "a text cannot begin with `@` here",
        "put it in quotes: '@…'",
    ),
    (
        "found character '`'",
        "a text cannot begin with a backtick",
        "put it in quotes: '`…'",
    ),
    (
        "found character '%'",
        "a text cannot begin with `%`",
        "put it in quotes: '%…'",
    ),
    (
        "mapping values are not allowed here",
        "a `:` that does not end a key",
        "a text that contains `: ` needs quotes; or the line is indented too far",
    ),
    (
        "sequence entries are not allowed here",
        "a list cannot begin here",
        "put the list below its key, each entry on a line that begins with `- `",
    ),
    (
        "mapping keys are not allowed here",
        "a key cannot be here",
        "a text that begins with `? ` needs quotes",
    ),
    (
        "could not find expected ':'",
        "neither `key: value` nor a list entry",
        "a key is followed by `: `, a list entry begins with `- `",
    ),
    (
        "expected <block end>",
        "the line does not fit the lines above",
        "lines of one list or mapping begin in the same column",
    ),
    (
        "expected ',' or ']'",
        "expected `,` or `]` in a list",
        "separate entries with commas, and end the list with `]`",
    ),
    (
        "expected ',' or '}'",
        "expected `,` or `}` in a mapping",
        "separate entries with commas, and end the mapping with `}`",
    ),
    (
        "invalid intendation",
        "an unclosed `[` or `{`, or a wrong indentation",
        "close it with `]` or `}`",
    ),
    (
        "found unexpected end of stream",
        "an unclosed quote",
        "each opening quote needs a closing one",
    ),
    (
        "found unexpected document separator",
        "a quote that is not closed before the line `---`",
        "each opening quote needs a closing one",
    ),
    (
        "found unknown escape character",
        "not an escape of YAML",
        "in double quotes write \\\\ for a backslash; in single quotes it needs no escape",
    ),
    (
        "expected escape sequence of",
        "an incomplete escape",
        'escapes have a fixed number of hexadecimal digits: "\\x1b", "\\u00e9", "\\U0001f600"',
    ),
    (
        "more indented follow up line",
        "the first lines of the text are indented further than the lines that follow",
        "set the indentation of the text with a digit: `|2`",
    ),
    (
        "found undefined tag handle",
        "a tag with an undeclared prefix",
        "a text that begins with `!` needs quotes",
    ),
    (
        "found an endless tag",
        "a text cannot begin with `!`",
        "put it in quotes: '!…'",
    ),
    (
        "expected the node content, but found '<stream end>'",
        "the file ends, but a value is expected",
        "is a `[`, a `{` or a quote not closed?",
    ),
    (
        "expected the node content",
        "a value is missing, or begins with a reserved character",
        "a text that begins with one of , [ ] { } & * ! | > % @ ` needs quotes",
    ),
    (
        "expected '<document start>'",
        "content after the end of the document",
        "a file has one mapping, such as `init: …`, `services: …`",
    ),
)


def check_characters(source: SourceText) -> None:
    """Raise ConfigError for a character that YAML forbids."""
    match = _FORBIDDEN.search(source.text)
    if match is None:
        return
    line, column = line_and_column(source.text, match.start())
    raise ConfigError.of(
        codes.BAD_CHARACTER,
        f"the character U+{ord(match.group()):04X} is not allowed in YAML",
        'write it as an escape in double quotes, such as "\\x1b"; or is this not a text file?',
        place=Place(source, line, column),
    )


def syntax_error(source: SourceText, error: MarkedYAMLError) -> ConfigError:
    """Return the error for the parser's error, with the place and the enclosing value."""
    problem = str(error.problem or error.context or "this is not YAML")
    place = _place(source, error.problem_mark or error.context_mark)
    message, hint = next(
        ((message, hint) for start, message, hint in _MESSAGES if problem.startswith(start)),
        (f"not YAML: {problem.split(',', maxsplit=1)[0].splitlines()[0]}", ""),
    )
    code = codes.TAB_INDENTATION if "\\t" in problem and "token" in problem else codes.SYNTAX_ERROR
    if _is_indented_by_tab(place):
        code = codes.TAB_INDENTATION
        message, hint = _MESSAGES[0][1:]
    elif "\t" in place.source.line(place.line)[max(0, place.column - 2) : place.column]:
        code = codes.TAB_INDENTATION
        message, hint = (
            "a text without quotes cannot contain a tab here",
            "put the text in double quotes",
        )
    return ConfigError(
        [
            Diagnostic(
                code,
                message,
                place,
                (hint,) if hint else (),
                _enclosing_value(source, error, place),
            )
        ]
    )


def _enclosing_value(
    source: SourceText, error: MarkedYAMLError, place: Place
) -> tuple[Remark, ...]:
    """Return a remark about the unclosed value, if it begins on another line."""
    if error.context is None or error.context_mark is None:
        return ()
    start = _place(source, error.context_mark)
    if start.line == place.line or "simple key" in error.context:
        return ()
    context = re.sub(r"^while (?:scanning|parsing) ", "", str(error.context))
    messages = {
        "a flow sequence": "the list begins here",
        "a flow mapping": "the mapping begins here",
        "a block mapping": "the mapping begins here",
        "a block collection": "the list begins here",
        "a quoted scalar": "the quotes open here",
        "a double-quoted scalar": "the quotes open here",
    }
    return (Remark(messages[context], start),) if context in messages else ()


def _is_indented_by_tab(place: Place) -> bool:
    line = place.source.line(place.line)
    return "\t" in line[: len(line) - len(line.lstrip())]


def _place(source: SourceText, mark: Any) -> Place:  # noqa: ANN401 - ruamel has two types of marks
    if mark is None:
        return Place(source)
    line, column = mark.line + 1, mark.column + 1
    # Nothing is at the end of the text: use the place after the last character that is not blank.
    text = source.line(line)
    if not text.strip():
        lines = source.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for number in range(min(line, len(lines)), 0, -1):
            if lines[number - 1].strip():
                return Place(source, number, len(lines[number - 1].rstrip()) + 1)
    return Place(source, line, column)
