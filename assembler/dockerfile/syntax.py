"""The parser of Dockerfiles: instructions with flags, words and places, but not their meaning."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.data_files import open_data_stream
from assembler.diagnostics import Place, SourceText
from assembler.errors import PackageError
from assembler.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEYWORDS = (
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
)
_WITH_HEREDOCS = ("ADD", "COPY", "RUN")
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_FLAG = re.compile(r"--([A-Za-z][A-Za-z0-9-]*)(?:=(\S*))?(?:\s+|$)")
HEREDOC = re.compile(r"(?<!\S)\d*<<(-?)(['\"]?)([A-Za-z_][A-Za-z0-9_.]*)\2(?=\s|$)")
_MAX_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A heredoc: its delimiter and its content."""

    name: str
    content: str
    # Whether the delimiter is quoted, so that variables are not expanded.
    quoted: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction, with continuation lines joined."""

    keyword: str
    text: str
    source: SourceText = field(repr=False, compare=False)
    # The numbers of its first and last line, from 1.
    line: int
    last_line: int
    flags: Mapping[str, str] = field(default_factory=dict)
    heredocs: tuple[Heredoc, ...] = ()

    @property
    def json_words(self) -> tuple[str, ...] | None:
        """Return the words of a JSON list, or None for another form."""
        if not self.text.startswith("["):
            return None
        try:
            words = json.loads(self.text)
        except ValueError:
            return None
        if isinstance(words, list) and all(isinstance(w, str) for w in words):
            return tuple(words)
        return None

    @property
    def words(self) -> tuple[str, ...]:
        """Return the words of a JSON list, or those between spaces."""
        listed = self.json_words
        return tuple(self.text.split()) if listed is None else listed

    def place(self, word: str = "") -> Place:
        """Return the place of a word in the instruction, or of the instruction."""
        for number in range(self.line, self.last_line + 1):
            line = self.source.line(number)
            start = len(self.keyword) if number == self.line else 0
            column = line.find(word, start) if word else -1
            if column >= 0:
                return Place(self.source, number, column + 1, len(word))
        line = self.source.line(self.line)
        begin = len(line) - len(line.lstrip())
        return Place(self.source, self.line, begin + 1, max(1, len(line.rstrip()) - begin))

    def error(self, message: str, *hints: str, word: str = "") -> PackageError:
        """Return an error about this instruction."""
        return PackageError.of(packages.BAD_DOCKERFILE, message, *hints, place=self.place(word))


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile."""

    source: SourceText
    instructions: tuple[Instruction, ...]
    escape: str = "\\"


def read_dockerfile(path: Path) -> Dockerfile:
    """Read and parse a Dockerfile."""
    try:
        with open_data_stream(path) as file:
            data = file.read(_MAX_SIZE + 1)
    except FileNotFoundError:
        raise PackageError.of(
            packages.NO_DOCKERFILE,
            f"{path} does not exist",
            "write a Dockerfile, name another with `dockerfile:` in build.yml, or build the image "
            "from Debian packages with `debs:`",
        ) from None
    except OSError as error:
        raise PackageError.of(
            packages.NO_DOCKERFILE, f"{path} cannot be read: {error.strerror}"
        ) from error
    if len(data) > _MAX_SIZE:
        raise PackageError.of(packages.BAD_DOCKERFILE, f"{path} is larger than 1 MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        source = SourceText(str(path), data.decode("utf-8", "replace"))
        raise PackageError.of(
            packages.BAD_DOCKERFILE,
            f"the byte 0x{data[error.start]:02x} is not UTF-8",
            "save the file as UTF-8",
            place=Place(source, line, column),
        ) from error
    return parse_dockerfile(SourceText(str(path), text))


def parse_dockerfile(source: SourceText) -> Dockerfile:
    """Parse the text of a Dockerfile."""
    lines = source.text.replace("\r\n", "\n").split("\n")
    escape = _escape_character(lines, source)
    found = tuple(_parse_instructions(lines, source, escape))
    if not found:
        raise PackageError.of(
            packages.BAD_DOCKERFILE,
            "the Dockerfile has no instructions",
            "begin it with FROM",
            place=Place(source, 1, 1),
        )
    return Dockerfile(source, found, escape)


def leading_directives(lines: list[str]) -> dict[str, tuple[str, int]]:
    """Return the directives before everything else, with their line numbers; the first counts."""
    found: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(lines, 1):
        directive = _DIRECTIVE.fullmatch(line.strip())
        if directive is None:
            break
        found.setdefault(directive[1].lower(), (directive[2], number))
    return found


def _escape_character(lines: list[str], source: SourceText) -> str:
    """Return the character that continues lines."""
    character, number = leading_directives(lines).get("escape", ("\\", 0))
    if character not in ("\\", "`"):
        raise PackageError.of(
            packages.BAD_DOCKERFILE,
            f"invalid escape character {character!r}",
            "write \\ or `",
            place=Place(source, number, 1, len(lines[number - 1])),
        )
    return character


def _parse_instructions(lines: list[str], source: SourceText, escape: str) -> Iterator[Instruction]:
    continued = re.compile(re.escape(escape) + r"[ \t]*$")
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        first = at
        at += 1
        if not line or line.startswith("#"):
            continue
        pieces = [lines[first].lstrip()]
        while continued.search(pieces[-1]):
            pieces[-1] = continued.sub("", pieces[-1])
            while at < len(lines) and (not lines[at].strip() or lines[at].lstrip()[:1] == "#"):
                at += 1
            if at >= len(lines):
                break
            pieces.append(lines[at])
            at += 1
        text = "".join(pieces).strip()
        if not text:
            continue
        keyword, *arguments = text.split(None, 1)
        raw = Instruction(keyword.upper(), "".join(arguments), source, first + 1, at)
        _check_keyword(raw)
        if raw.keyword in _WITH_HEREDOCS:
            heredocs, at = _read_heredocs(raw, lines, at)
        else:
            heredocs = ()
        flags, rest = _split_flags(raw)
        yield Instruction(raw.keyword, rest, source, first + 1, at, flags, heredocs)


def _check_keyword(instruction: Instruction) -> None:
    keyword = instruction.keyword
    if keyword not in KEYWORDS:
        hint = did_you_mean(keyword, KEYWORDS) or f"write one of {', '.join(KEYWORDS)}"
        line = instruction.source.line(instruction.line)
        begin = len(line) - len(line.lstrip())
        raise PackageError.of(
            packages.BAD_DOCKERFILE,
            f"unknown instruction {keyword}",
            hint,
            place=Place(instruction.source, instruction.line, begin + 1, len(keyword)),
        )
    if not instruction.text and keyword not in ("CMD", "ENTRYPOINT"):
        raise instruction.error(f"{keyword} has no arguments")


def _read_heredocs(
    instruction: Instruction, lines: list[str], at: int
) -> tuple[tuple[Heredoc, ...], int]:
    found = []
    for match in HEREDOC.finditer(instruction.text):
        tabs, quote, name = match.groups()
        content: list[str] = []
        while at < len(lines):
            line = lines[at].lstrip("\t") if tabs else lines[at]
            at += 1
            if line == name:
                break
            content.append(line + "\n")
        else:
            raise instruction.error(
                f"the heredoc <<{name} has no end",
                f"write {name} alone on the line after it",
                word=f"<<{name}",
            )
        found.append(Heredoc(name, "".join(content), bool(quote)))
    return tuple(found), at


def _split_flags(instruction: Instruction) -> tuple[dict[str, str], str]:
    flags: dict[str, str] = {}
    rest = instruction.text
    if instruction.keyword == "ENV":
        return flags, rest
    while match := _FLAG.match(rest):
        name, value = match[1], match[2]
        if name in flags and name not in ("exclude", "mount"):
            raise instruction.error(f"--{name} is given twice", word=f"--{name}")
        text = "true" if value is None else value
        # The values of a repeated flag are joined with newlines.
        flags[name] = f"{flags[name]}\n{text}" if name in flags else text
        rest = rest[match.end() :]
    return flags, rest
