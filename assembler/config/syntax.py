"""What the YAML parser stumbles over, in words that help."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from assembler.codes import config as codes
from assembler.config.reading import position
from assembler.diagnostics import Diagnostic, Place, Remark, Source
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

# What YAML does not allow: the few that are not, since a set of those that are takes ten times as
# long to compile, which each start would wait for.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]"
)

# What the parser says (a beginning), what it means, what to do about it.
_WORDS: tuple[tuple[str, str, str], ...] = (
    (
        "found character '\\t'",
        "a tab stands where spaces are wanted",
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
        "a colon that makes no key here",
        "a text with `: ` in it needs quotes; or the line is indented further than its neighbours",
    ),
    (
        "sequence entries are not allowed here",
        "a list cannot begin here",
        "put the list below its key, on lines of its own that begin with `- `",
    ),
    (
        "mapping keys are not allowed here",
        "a key cannot stand here",
        "a text that begins with `? ` needs quotes",
    ),
    (
        "could not find expected ':'",
        "this is neither `key: value` nor a list entry",
        "a key is followed by `: `, a list entry begins with `- `",
    ),
    (
        "expected <block end>",
        "this line does not fit those above",
        "lines that belong together begin in the same column",
    ),
    (
        "expected ',' or ']'",
        "a list in brackets goes on wrongly",
        "entries have commas between them, and the list ends with `]`",
    ),
    (
        "expected ',' or '}'",
        "a mapping in braces goes on wrongly",
        "entries have commas between them, and the mapping ends with `}`",
    ),
    (
        "invalid intendation",
        "a `[` or `{` is not closed, or the line is indented wrongly",
        "close it with `]` or `}`",
    ),
    (
        "found unexpected end of stream",
        "the quotes are not closed",
        "every opening quote needs its closing one",
    ),
    (
        "found unexpected document separator",
        "the quotes are not closed before the line `---`",
        "every opening quote needs its closing one",
    ),
    (
        "found unknown escape character",
        "not an escape that YAML knows",
        "in double quotes a backslash is written \\\\; in single quotes it stands for itself",
    ),
    (
        "expected escape sequence of",
        "an escape is not complete",
        'escapes have a fixed number of hexadecimal digits: "\\x1b", "\\u00e9", "\\U0001f600"',
    ),
    (
        "more indented follow up line",
        "the first lines of the text are indented further than those that follow",
        "say how far the text is indented with a digit: `|2`",
    ),
    (
        "found undefined tag handle",
        "a tag with a prefix that is not declared",
        "a text that begins with `!` needs quotes",
    ),
    (
        "found an endless tag",
        "a text cannot begin with `!`",
        "put it in quotes: '!…'",
    ),
    (
        "expected the node content, but found '<stream end>'",
        "the file ends where a value is wanted",
        "is a `[`, a `{` or a quote not closed?",
    ),
    (
        "expected the node content",
        "a value is missing here, or begins with a character of YAML's own",
        "a text that begins with one of , [ ] { } & * ! | > % @ ` needs quotes",
    ),
    (
        "expected '<document start>'",
        "the document has ended, yet something follows",
        "everything in a file is one mapping, as `init: …`, `services: …`",
    ),
)


def check_characters(source: Source) -> None:
    """Refuse control characters and other things that cannot stand in YAML."""
    found = _FORBIDDEN.search(source.text)
    if found is None:
        return
    line, column = position(source.text, found.start())
    raise ConfigError.of(
        codes.BAD_CHARACTER,
        f"the character U+{ord(found.group()):04X} cannot stand in YAML as it is",
        'write it as an escape in double quotes, as "\\x1b"; or is this not a text file?',
        place=Place(source, line, column),
    )


def refusal(source: Source, error: MarkedYAMLError) -> ConfigError:
    """Tell what the parser found, where, and what it was in the middle of."""
    problem = str(error.problem or error.context or "this is not YAML")
    place = _place(source, error.problem_mark or error.context_mark)
    message, hint = next(
        ((words, hint) for start, words, hint in _WORDS if problem.startswith(start)),
        (f"not YAML: {problem.split(',', maxsplit=1)[0].splitlines()[0]}", ""),
    )
    code = codes.TAB if "\\t" in problem and "token" in problem else codes.SYNTAX
    if _is_tab(place):
        code = codes.TAB
        message, hint = _WORDS[0][1:]
    elif "\t" in place.source.line(place.line)[max(0, place.column - 2) : place.column]:
        code = codes.TAB
        message, hint = "a tab cannot be part of a text here", "put the text in double quotes"
    return ConfigError(
        [Diagnostic(code, message, place, (hint,) if hint else (), _context(source, error, place))]
    )


def _context(source: Source, error: MarkedYAMLError, place: Place) -> tuple[Remark, ...]:
    """Point at the beginning of what is not closed, if that is on another line."""
    if error.context is None or error.context_mark is None:
        return ()
    start = _place(source, error.context_mark)
    if start.line == place.line or "simple key" in error.context:
        return ()
    what = re.sub(r"^while (?:scanning|parsing) ", "", str(error.context))
    names = {
        "a flow sequence": "the list begins here",
        "a flow mapping": "the mapping begins here",
        "a block mapping": "the mapping begins here",
        "a block collection": "the list begins here",
        "a quoted scalar": "the quotes open here",
        "a double-quoted scalar": "the quotes open here",
    }
    return (Remark(names[what], start),) if what in names else ()


def _is_tab(place: Place) -> bool:
    line = place.source.line(place.line)
    return "\t" in line[: len(line) - len(line.lstrip())]


def _place(source: Source, mark: Any) -> Place:  # noqa: ANN401 - one of ruamel's two kinds of marks
    if mark is None:
        return Place(source)
    line, column = mark.line + 1, mark.column + 1
    # At the end of the text there is nothing to point at: point behind the last thing there is.
    text = source.line(line)
    if not text.strip():
        lines = source.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for number in range(min(line, len(lines)), 0, -1):
            if lines[number - 1].strip():
                return Place(source, number, len(lines[number - 1].rstrip()) + 1)
    return Place(source, line, column)
