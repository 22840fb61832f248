"""Checks that commands, options and error codes exist that texts name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checks.findings import Finding
    from checks.known import Command, Known
    from checks.texts import Text
    from checks.tree import Tree

# What texts about packages name and no command has: the options of instructions in a Dockerfile.
DOCKERFILE = {"--chmod", "--chown", "--from", "--mount", "--platform"}
_CODE = re.compile(r"\bDM\d{4}\b")
# Where a shell starts a program: at the beginning of a line, after a prompt, or after another one.
_START = re.compile(
    r"(?:^|[|;&(])[ \t]*(?:[$>][ \t]+)?(?:(?:sudo|exec|time)[ \t]+|[A-Z_]+=\S*[ \t]+)*dolmen[ \t]",
    re.MULTILINE,
)
_COMMENT = re.compile(r"[ \t]#[ \t][^\n]*")
_JOINED = re.compile(r"\\\n")
_WORD = re.compile(r"\S+")
_END = re.compile(r"[|;&<>)]")
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_OPTION = re.compile(r"--?[a-zA-Z][\w-]*")


def check(tree: Tree, known: Known, text: Text) -> Iterator[Finding]:
    """Yield what does not exist in a text."""
    options = {*known.program.all_options(), *tree.options, *DOCKERFILE}
    for found in _CODE.finditer(text.source):
        if found[0] not in known.codes:
            yield from text.finding("names", found.start(), f"there is no code {found[0]}")
    for span in text.spans:
        find = _in_block if span.is_block else _in_line
        for at, message in find(known, options, span.text):
            yield from text.finding("names", span.start + at, message)


def _in_line(known: Known, options: set[str], code: str) -> Iterator[tuple[int, str]]:
    """Yield offset and message of mistakes in a piece of code between backticks."""
    words = list(_WORD.finditer(code))
    if words and words[0][0] == "dolmen":
        yield from _mistakes(known.program, words[1:])
    elif words and words[0][0].startswith("--"):
        yield from _any_option(options, words)
    elif _is_known_pair(known, words):
        yield from _mistakes(known.program, words)


def _in_block(known: Known, _options: set[str], code: str) -> Iterator[tuple[int, str]]:
    """Yield offset and message of mistakes in the command lines of a fenced block."""
    code = _COMMENT.sub(lambda m: " " * len(m[0]), _JOINED.sub("  ", code))
    for start in _START.finditer(code):
        end = code.find("\n", start.end())
        words = _WORD.finditer(code, start.end(), end if end >= 0 else len(code))
        yield from _mistakes(known.program, list(words))


def _is_known_pair(known: Known, words: list[re.Match[str]]) -> bool:
    """Tell `cache push` from what other programs have: a group and one of its commands."""
    group = known.program.children.get(words[0][0]) if len(words) > 1 else None
    return group is not None and words[1][0] in group.children


def _mistakes(program: Command, words: list[re.Match[str]]) -> Iterator[tuple[int, str]]:
    """Yield offset and message of what is wrong in a command line."""
    command, path, skip = program, "dolmen", False
    for word in words:
        if skip:
            skip = False
        elif _END.match(word[0]) or word[0] == "--":
            return
        elif word[0].startswith("-"):
            option = _OPTION.match(word[0])
            takes = _find(option[0], command, program) if option else False
            if option and takes is None and not command.is_open:
                yield word.start(), f"`{path}` has no option {option[0]}"
            skip = bool(takes) and "=" not in word[0]
        elif command.children:
            if word[0] not in command.children and command.default:
                command, path = command.children[command.default], f"{path} {command.default}"
                continue
            if not _NAME.fullmatch(word[0]):
                return
            if word[0] not in command.children:
                yield word.start(), f"`{path}` has no command {word[0]}"
                return
            command, path = command.children[word[0]], f"{path} {word[0]}"


def _any_option(options: set[str], words: list[re.Match[str]]) -> Iterator[tuple[int, str]]:
    """Yield the options, named without a command, that no command has."""
    for word in words:
        option = _OPTION.match(word[0])
        if option and option[0].startswith("--") and option[0] not in options:
            yield word.start(), f"no command has an option {option[0]}"


def _find(option: str, *commands: Command) -> bool | None:
    """Return whether an option takes a value; None if there is no such option."""
    for command in commands:
        # LinuxKit's scripts write long options with one dash; `-vv` is `-v` twice.
        for name in (option, f"-{option}", option[:2] if option[1] != "-" else option):
            if name in command.options:
                return command.options[name]
    return None
