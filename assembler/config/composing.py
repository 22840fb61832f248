"""From the text of a YAML file to plain data beside a tree of positions of the same shape."""

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
from assembler.config.position import Positions
from assembler.config.reading import position
from assembler.config.syntax import check_characters, refusal
from assembler.diagnostics import Diagnostic, Place, Remark, Source
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.codes import Code
    from assembler.config.reading import Input

_DEEPEST = 40
_MOST = 20_000
_LONGEST_TAG = 200
_END_OF_TAG = re.compile("[\\s\0]")
_BEYOND_UNICODE = re.compile(r"\\U(?!00(?:0|10))[0-9a-fA-F]{8}")
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_LONE = re.compile("[\ud800-\udfff]")
# Without quotes; in quotes it is a key like any other.
_MERGE = "<<"


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML file says: plain data, and where each piece of it stands."""

    data: Any
    at: Positions
    input: Input


def compose(given: Input) -> Document:
    """Read the one document of the text; ConfigError for whatever is wrong with it."""
    data, at = compose_source(given.source)
    return Document(data, at, given)


def compose_source(source: Source) -> tuple[Any, Positions]:
    """Read the one document of a text; ConfigError for whatever is wrong with it."""
    check_characters(source)
    composer = _Composer(source)
    try:
        return composer.document()
    except MarkedYAMLError as error:
        raise refusal(source, error) from error
    except (YAMLError, ValueError, OverflowError) as error:
        # Escapes beyond Unicode, and directives with absurd numbers.
        beyond = _BEYOND_UNICODE.search(source.text)
        if beyond is None:
            message, place = f"not YAML: {error}", composer.last
        else:
            message = f"no character has the number of the escape {beyond.group()}"
            place = Place(source, *position(source.text, beyond.start()), len(beyond.group()))
        raise ConfigError.of(codes.BAD_SCALAR, message, place=place) from error


class _TabScanner(Scanner):
    """A scanner that lets tabs stand between tokens, as LinuxKit's does, but not indent."""

    def scan_tag(self) -> Any:  # noqa: ANN401 - a token of ruamel's
        # The scanner takes time in the square of a tag's length.
        if not _END_OF_TAG.search(self.reader.prefix(_LONGEST_TAG)):
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
    """A value under construction: what it is, where it is, how much there is of it."""

    data: Any
    at: Positions
    weight: int = 1
    is_text: bool = False
    merges: bool = False


class _Composer:
    """Builds the values of a single document out of the parser's events."""

    def __init__(self, source: Source) -> None:
        self._source = source
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = _TabScanner
        self._events: Iterator[Any] = yaml.parse(source.text)
        self._anchors: dict[str, _Value] = {}
        self._open: dict[str, Place] = {}
        self._depth = 0
        self._weight = 0
        self.last = Place(source)

    def document(self) -> tuple[Any, Positions]:
        event = self._next()
        if isinstance(event, StreamStartEvent):
            event = self._next()
        if not isinstance(event, DocumentStartEvent):
            raise ConfigError.of(
                codes.EMPTY,
                "the file is empty" if not self._source.text.strip() else "only comments are here",
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
                "a second document begins here",
                self._place(event),
                "put it into a file of its own: `dolmen build one.yml two.yml` merges them",
            )
        return value.data, value.at

    def _next(self) -> Any:  # noqa: ANN401 - ruamel's events have no types
        event = next(self._events)
        mark = event.start_mark
        if mark is not None:
            self.last = Place(self._source, mark.line + 1, mark.column + 1)
        return event

    def _value(self, event: Any) -> _Value:  # noqa: ANN401
        place = self._place(event)
        if isinstance(event, AliasEvent):
            value = self._alias(event, place)
        else:
            anchor = event.anchor
            if anchor:
                self._open[anchor] = place
            if isinstance(event, ScalarEvent):
                value = self._scalar(event, place)
            else:
                value = self._collection(event, place)
            if anchor:
                del self._open[anchor]
                self._anchors[anchor] = value
        self._count(1 if not isinstance(event, AliasEvent) else value.weight, place)
        return value

    def _count(self, weight: int, place: Place) -> None:
        self._weight += weight
        if self._weight > _MOST:
            self._refuse(
                codes.TOO_MANY,
                f"more than {_MOST:,} values, those brought by aliases included",
                place,
            )

    def _alias(self, event: AliasEvent, place: Place) -> _Value:
        name = event.anchor
        if name in self._open:
            raise ConfigError(
                [
                    Diagnostic(
                        codes.BAD_ALIAS,
                        f"*{name} stands inside the very value it stands for",
                        place,
                        remarks=(Remark(f"&{name} begins here", self._open[name]),),
                    )
                ]
            )
        if name not in self._anchors:
            self._refuse(
                codes.BAD_ALIAS,
                f"there is no &{name} before this",
                place,
                f"known are {', '.join('&' + a for a in self._anchors)}"
                if self._anchors
                else "a text that begins with `*` needs quotes",
            )
        value = self._anchors[name]
        at = Positions(place, None, value.at.children)
        return _Value(value.data, at, value.weight, value.is_text)

    def _scalar(self, event: ScalarEvent, place: Place) -> _Value:
        text: str = event.value
        if _LONE.search(text):
            text = _SURROGATES.sub(_joined, text)
            if _LONE.search(text):
                self._refuse(
                    codes.BAD_SCALAR,
                    "the escape is half of a character (a lone surrogate)",
                    place,
                    'write the character itself, or its number: "\\U0001f600"',
                )
        tag = self._tag(event, place)
        at = Positions(place)
        if tag is None:
            if event.style:
                return _Value(text, at, is_text=True)
            return _Value(scalars.plain(text), at, merges=text == _MERGE)
        if tag in ("map", "seq"):
            self._refuse(codes.BAD_SCALAR, f"the tag !!{tag} is given to a single value", place)
        try:
            return _Value(scalars.tagged(text, tag), at, is_text=True)
        except ValueError as error:
            self._refuse(codes.BAD_SCALAR, str(error), place)

    def _tag(self, event: Any, place: Place) -> str | None:  # noqa: ANN401
        tag = event.tag
        if tag is None:
            return None
        if tag == "!":
            return "str" if isinstance(event, ScalarEvent) else None
        if tag not in scalars.TAGS:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self._refuse(
                codes.BAD_TAG,
                f"the tag {shown} has no meaning here",
                place,
                "a text that begins with `!` needs quotes",
            )
        return scalars.TAGS[tag]

    def _collection(self, event: Any, place: Place) -> _Value:  # noqa: ANN401
        tag = self._tag(event, place)
        is_list = isinstance(event, SequenceStartEvent)
        if tag is not None and tag != ("seq" if is_list else "map"):
            kind = "list" if is_list else "mapping"
            self._refuse(codes.BAD_SCALAR, f"the tag !!{tag} is given to a {kind}", place)
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse(codes.TOO_DEEP, f"more than {_DEEPEST} levels deep", place)
        value = self._list(place) if is_list else self._mapping(place)
        self._depth -= 1
        return value

    def _list(self, place: Place) -> _Value:
        items: list[Any] = []
        children: dict[str | int, Positions] = {}
        weight = 1
        while not isinstance(event := self._next(), SequenceEndEvent):
            value = self._value(event)
            children[len(items)] = value.at
            items.append(value.data)
            weight += value.weight
        return _Value(items, Positions(_up_to(place, event), None, children), weight)

    def _mapping(self, place: Place) -> _Value:
        items: dict[str, Any] = {}
        children: dict[str | int, Positions] = {}
        merged: list[_Value] = []
        weight = 1
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._value(event)
            value = self._value(self._next())
            weight += value.weight
            if key.merges:
                merged += self._merged(value)
                continue
            name = self._key(key, children)
            items[name] = value.data
            children[name] = Positions(value.at.place, key.at.place, value.at.children)
        for other in merged:
            for name, data in other.data.items():
                if name not in items:
                    items[name] = data
                    children[name] = other.at.children[name]
        return _Value(items, Positions(_up_to(place, event), None, children), weight)

    def _key(self, key: _Value, children: Mapping[str | int, Positions]) -> str:
        place = key.at.place
        assert place is not None  # noqa: S101 - every value has one
        if not isinstance(key.data, str):
            if isinstance(key.data, list | dict):
                kind = "a list" if isinstance(key.data, list) else "a mapping"
                hint = "a text with `{`, `[` or `?` at its beginning needs quotes"
                self._refuse(codes.KEY_NOT_TEXT, f"{kind} cannot be a key", place, hint)
            written = place.source.line(place.line)[place.column - 1 :][: place.length]
            self._refuse(
                codes.KEY_NOT_TEXT,
                f"a key is text, and {written or 'an empty key'} is {_kind(key.data)}",
                place,
                f'put it in quotes: "{written}"',
            )
        earlier = children.get(key.data)
        if earlier is not None and earlier.key is not None:
            raise ConfigError(
                [
                    Diagnostic(
                        codes.DUPLICATE_KEY,
                        f"the key {key.data!r} is here for the second time",
                        place,
                        ("join the two, or remove one",),
                        (Remark("it was first used here", earlier.key),),
                    )
                ]
            )
        return key.data

    def _merged(self, value: _Value) -> list[_Value]:
        if isinstance(value.data, dict):
            return [value]
        if isinstance(value.data, list) and all(isinstance(d, dict) for d in value.data):
            return [_Value(d, value.at.children[i]) for i, d in enumerate(value.data)]
        raise ConfigError.of(
            codes.BAD_MERGE,
            "`<<` takes a mapping, or a list of mappings",
            "as <<: *name, or <<: [*one, *two]",
            place=value.at.place,
        )

    def _place(self, event: Any) -> Place:  # noqa: ANN401
        start, end = event.start_mark, event.end_mark
        length = 1
        if end is not None and end.index > start.index:
            same = end.line == start.line
            length = end.column - start.column if same else len(self._rest(start))
        return Place(self._source, start.line + 1, start.column + 1, max(1, length))

    def _rest(self, mark: Any) -> str:  # noqa: ANN401
        text = self._source.text
        end = text.find("\n", mark.index)
        return text[mark.index : end if end >= 0 else len(text)].rstrip()

    def _refuse(self, code: Code, message: str, place: Place, *hints: str) -> NoReturn:
        raise ConfigError.of(code, message, *hints, place=place)


def _up_to(place: Place, end: Any) -> Place:  # noqa: ANN401 - the event that ends a collection
    """Widen the place of a `[` or `{` up to its end, if that is on the same line."""
    mark = end.end_mark
    brackets = mark.index > end.start_mark.index and mark.line + 1 == place.line
    return replace(place, length=mark.column + 1 - place.column) if brackets else place


def _joined(match: re.Match[str]) -> str:
    return match.group().encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _kind(data: object) -> str:
    if data is None:
        return "nothing"
    if isinstance(data, bool):
        return "a boolean"
    return "a number"
