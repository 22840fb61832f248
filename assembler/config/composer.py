"""The composer: YAML text to plain data, and to a tree of positions with the same shape."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamStartEvent,
)
from ruamel.yaml.scanner import Scanner, ScannerError

from assembler.codes import config as codes
from assembler.config import scalars
from assembler.config.inputs import line_and_column
from assembler.config.positions import Positions
from assembler.config.yaml_errors import check_characters, syntax_error
from assembler.diagnostics import Diagnostic, Place, Remark, SourceText
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.codes import Code
    from assembler.config.inputs import ConfigInput

_MAX_DEPTH = 40
_MAX_VALUES = 20_000
_MAX_TAG_LENGTH = 200
_END_OF_TAG = re.compile("[\\s\0]")
_BEYOND_UNICODE = re.compile(r"\\U(?!00(?:0|10))[0-9a-fA-F]{8}")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# Only as a plain scalar: with quotes it is an ordinary key.
_MERGE_KEY = "<<"


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """The single document of a YAML file: plain data, and the place of each value."""

    data: Any
    positions: Positions
    input: ConfigInput


def compose_input(given: ConfigInput) -> YamlDocument:
    """Compose the single document of an input; raise ConfigError if it is not valid YAML."""
    data, positions = compose_text(given.source)
    return YamlDocument(data, positions, given)


def compose_text(source: SourceText) -> tuple[Any, Positions]:
    """Compose the single document of a text; raise ConfigError if it is not valid YAML."""
    check_characters(source)
    composer = _Composer(source)
    try:
        return composer.document()
    except MarkedYAMLError as error:
        raise syntax_error(source, error) from error
    except (YAMLError, ValueError, OverflowError) as error:
        # Raised for escapes beyond Unicode, and for directives with huge numbers.
        escape = _BEYOND_UNICODE.search(source.text)
        if escape is None:
            message, place = f"not YAML: {error}", composer.last_place
        else:
            message = f"the escape {escape.group()} is not a Unicode character"
            place = Place(
                source, *line_and_column(source.text, escape.start()), len(escape.group())
            )
        raise ConfigError.of(codes.BAD_SCALAR, message, place=place) from error


class _TabScanner(Scanner):
    """A scanner that accepts tabs between tokens, as LinuxKit's does, but not as indentation."""

    def scan_tag(self) -> Any:  # noqa: ANN401 - a token of ruamel's
        # The time that the scanner takes grows with the square of a tag's length.
        if not _END_OF_TAG.search(self.reader.prefix(_MAX_TAG_LENGTH)):
            mark = self.reader.get_mark()
            raise ScannerError("while scanning a tag", mark, "found an endless tag", mark)
        return super().scan_tag()

    def scan_to_next_token(self) -> None:
        peek, forward = self.reader.peek, self.reader.forward
        while True:
            blanks = " " if self.allow_simple_key and not self.flow_level else " \t"
            while peek() in blanks:
                forward()
            if peek() == "#":
                while peek() not in "\n\0\r":
                    forward()
            if not self.scan_line_break():
                return
            if not self.flow_level:
                self.allow_simple_key = True


@dataclass(frozen=True, slots=True)
class _Value:
    """A composed value; `weight` is the number of values in it, aliases expanded."""

    data: Any
    positions: Positions
    weight: int = 1
    is_merge_key: bool = False


class _Composer:
    """Composes the values of a single document from the parser's events."""

    def __init__(self, source: SourceText) -> None:
        self._source = source
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = _TabScanner
        self._events: Iterator[Any] = yaml.parse(source.text)
        self._anchors: dict[str, _Value] = {}
        self._open_anchors: dict[str, Place] = {}
        self._depth = 0
        self._weight = 0
        self.last_place = Place(source)

    def document(self) -> tuple[Any, Positions]:
        event = self._next()
        if isinstance(event, StreamStartEvent):
            event = self._next()
        if not isinstance(event, DocumentStartEvent):
            raise ConfigError.of(
                codes.EMPTY_FILE,
                "the file is empty"
                if not self._source.text.strip()
                else "the file has only comments",
                "`dolmen new` writes a file to start from",
                place=Place(self._source),
            )
        value = self._value(self._next())
        event = self._next()
        while isinstance(event, DocumentEndEvent):
            event = self._next()
        if isinstance(event, DocumentStartEvent):
            self._refuse(
                codes.SEVERAL_DOCUMENTS,
                "a second YAML document begins here",
                self._place(event),
                "put it into another file: `dolmen build one.yml two.yml` merges them",
            )
        return value.data, value.positions

    def _next(self) -> Any:  # noqa: ANN401 - ruamel's events have no types
        event = next(self._events)
        mark = event.start_mark
        if mark is not None:
            self.last_place = Place(self._source, mark.line + 1, mark.column + 1)
        return event

    def _value(self, event: Any) -> _Value:  # noqa: ANN401
        place = self._place(event)
        if isinstance(event, AliasEvent):
            value = self._alias(event, place)
        else:
            anchor = event.anchor
            if anchor:
                self._open_anchors[anchor] = place
            if isinstance(event, ScalarEvent):
                value = self._scalar(event, place)
            else:
                value = self._collection(event, place)
            if anchor:
                del self._open_anchors[anchor]
                self._anchors[anchor] = value
        self._count(1 if not isinstance(event, AliasEvent) else value.weight, place)
        return value

    def _count(self, weight: int, place: Place) -> None:
        self._weight += weight
        if self._weight > _MAX_VALUES:
            self._refuse(
                codes.TOO_MANY_VALUES,
                f"more than {_MAX_VALUES:,} values, including those of aliases",
                place,
            )

    def _alias(self, event: AliasEvent, place: Place) -> _Value:
        name = event.anchor
        if name in self._open_anchors:
            raise ConfigError(
                [
                    Diagnostic(
                        codes.BAD_ALIAS,
                        f"the alias *{name} is inside its own anchor's value",
                        place,
                        remarks=(
                            Remark(f"the value of &{name} begins here", self._open_anchors[name]),
                        ),
                    )
                ]
            )
        if name not in self._anchors:
            self._refuse(
                codes.BAD_ALIAS,
                f"there is no anchor &{name} before this alias",
                place,
                f"anchors: {', '.join('&' + a for a in self._anchors)}"
                if self._anchors
                else "a text that begins with `*` needs quotes",
            )
        value = self._anchors[name]
        positions = replace(value.positions, place=place, key=None)
        return _Value(value.data, positions, value.weight)

    def _scalar(self, event: ScalarEvent, place: Place) -> _Value:
        text: str = event.value
        if _LONE_SURROGATE.search(text):
            text = _SURROGATE_PAIR.sub(_join_surrogates, text)
            if _LONE_SURROGATE.search(text):
                self._refuse(
                    codes.BAD_SCALAR,
                    "the escape is a lone surrogate, half of a character",
                    place,
                    'write the character itself, or its number: "\\U0001f600"',
                )
        tag = self._tag(event, place)
        positions = Positions(place)
        if tag is None:
            if event.style:
                return _Value(text, positions)
            value = scalars.parse_plain(text)
            if not isinstance(value, str):
                positions = Positions(place, written=text)
            return _Value(value, positions, is_merge_key=text == _MERGE_KEY)
        if tag in ("map", "seq"):
            self._refuse(codes.BAD_SCALAR, f"the tag !!{tag} is on a scalar", place)
        try:
            value = scalars.parse_tagged(text, tag)
        except ValueError as error:
            self._refuse(codes.BAD_SCALAR, str(error), place)
        if not isinstance(value, str):
            positions = Positions(place, written=text)
        return _Value(value, positions)

    def _tag(self, event: Any, place: Place) -> str | None:  # noqa: ANN401
        tag = event.tag
        if tag is None:
            return None
        if tag == "!":
            return "str" if isinstance(event, ScalarEvent) else None
        if tag not in scalars.TAGS:
            short = tag.replace("tag:yaml.org,2002:", "!!")
            self._refuse(
                codes.BAD_TAG,
                f"the tag {short} is not supported",
                place,
                "a text that begins with `!` needs quotes",
            )
        return scalars.TAGS[tag]

    def _collection(self, event: Any, place: Place) -> _Value:  # noqa: ANN401
        tag = self._tag(event, place)
        is_list = isinstance(event, SequenceStartEvent)
        if tag is not None and tag != ("seq" if is_list else "map"):
            kind = "list" if is_list else "mapping"
            self._refuse(codes.BAD_SCALAR, f"the tag !!{tag} is on a {kind}", place)
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._refuse(codes.TOO_DEEP, f"nested more than {_MAX_DEPTH} levels deep", place)
        value = self._list(place) if is_list else self._mapping(place)
        self._depth -= 1
        return value

    def _list(self, place: Place) -> _Value:
        items: list[Any] = []
        children: dict[str | int, Positions] = {}
        weight = 1
        while not isinstance(event := self._next(), SequenceEndEvent):
            value = self._value(event)
            children[len(items)] = value.positions
            items.append(value.data)
            weight += value.weight
        return _Value(items, Positions(_extend_to(place, event), None, children), weight)

    def _mapping(self, place: Place) -> _Value:
        items: dict[str, Any] = {}
        children: dict[str | int, Positions] = {}
        merges: list[_Value] = []
        weight = 1
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._value(event)
            value = self._value(self._next())
            weight += value.weight
            if key.is_merge_key:
                merges += self._merge_sources(value)
                continue
            name = self._key(key, children)
            items[name] = value.data
            children[name] = replace(value.positions, key=key.positions.place)
        for source in merges:
            for name, data in source.data.items():
                if name not in items:
                    items[name] = data
                    children[name] = source.positions.children[name]
        return _Value(items, Positions(_extend_to(place, event), None, children), weight)

    def _key(self, key: _Value, children: Mapping[str | int, Positions]) -> str:
        place = key.positions.place
        assert place is not None  # noqa: S101 - every value has one
        if not isinstance(key.data, str):
            if isinstance(key.data, list | dict):
                kind = "a list" if isinstance(key.data, list) else "a mapping"
                hint = "a text that begins with `{`, `[` or `?` needs quotes"
                self._refuse(codes.NON_STRING_KEY, f"{kind} cannot be a key", place, hint)
            written = place.source.line(place.line)[place.column - 1 :][: place.length]
            self._refuse(
                codes.NON_STRING_KEY,
                f"a key must be text; {written or 'an empty key'} is {_type_name(key.data)}",
                place,
                f'put it in quotes: "{written}"',
            )
        earlier = children.get(key.data)
        if earlier is not None and earlier.key is not None:
            raise ConfigError(
                [
                    Diagnostic(
                        codes.DUPLICATE_KEY,
                        f"duplicate key {key.data!r}",
                        place,
                        ("merge the two, or remove one",),
                        (Remark("it was first used here", earlier.key),),
                    )
                ]
            )
        return key.data

    def _merge_sources(self, value: _Value) -> list[_Value]:
        if isinstance(value.data, dict):
            return [value]
        if isinstance(value.data, list) and all(isinstance(d, dict) for d in value.data):
            return [_Value(d, value.positions.children[i]) for i, d in enumerate(value.data)]
        raise ConfigError.of(
            codes.BAD_MERGE,
            "`<<` takes a mapping, or a list of mappings",
            "as <<: *name, or <<: [*one, *two]",
            place=value.positions.place,
        )

    def _place(self, event: Any) -> Place:  # noqa: ANN401
        start, end = event.start_mark, event.end_mark
        length = 1
        if end is not None and end.index > start.index:
            one_line = end.line == start.line
            length = end.column - start.column if one_line else len(self._rest_of_line(start))
        return Place(self._source, start.line + 1, start.column + 1, max(1, length))

    def _rest_of_line(self, mark: Any) -> str:  # noqa: ANN401
        text = self._source.text
        end = text.find("\n", mark.index)
        return text[mark.index : end if end >= 0 else len(text)].rstrip()

    def _refuse(self, code: Code, message: str, place: Place, *hints: str) -> NoReturn:
        raise ConfigError.of(code, message, *hints, place=place)


def _extend_to(place: Place, end: Any) -> Place:  # noqa: ANN401 - the event that ends a collection
    """Extend the place of a `[` or `{` to its closing bracket, if that is on the same line."""
    mark = end.end_mark
    brackets = mark.index > end.start_mark.index and mark.line + 1 == place.line
    return replace(place, length=mark.column + 1 - place.column) if brackets else place


def _join_surrogates(match: re.Match[str]) -> str:
    return match.group().encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _type_name(data: object) -> str:
    if data is None:
        return "nothing"
    if isinstance(data, bool):
        return "a boolean"
    return "a number"
