"""The subset of Go's text/template that tags of packages use.

A template is text with actions between `{{` and `}}`. An action is a pipeline of operands and
calls: `{{.Hash}}`, `{{printf "%.7s" .Hash}}`, `{{.Hash | printf "v1-%s"}}`, `{{slice .Hash 0 8}}`,
or a control structure: `if`, `with` and `range` with `else` and `end`. Everything else raises
`TemplateError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.packages.gotemplate_functions import (
    FUNCTIONS,
    LOGIC,
    NO_VALUE,
    TemplateError,
    Value,
    format_value,
    is_true,
    parse_number,
    unquote,
)
from assembler.packages.gotemplate_tokens import Token, split_actions, tokenize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["NO_VALUE", "TemplateError", "Value", "expand", "unknown_fields"]

# Of all loops of a template together.
_MAX_ROUNDS = 1000
_BRANCHES = ("if", "range", "with")
_CONTROL = (*_BRANCHES, "else", "end", "break", "continue")
_WORDS = frozenset((*_CONTROL, *FUNCTIONS, *LOGIC, "true", "false"))
# Go's keywords and functions that are not supported.
_UNSUPPORTED = frozenset(
    ("block", "define", "template", "nil", "html", "js", "urlquery", "index", "call", "println")
)


@dataclass(frozen=True, slots=True)
class _Action:
    """A pipeline, or `break` and `continue`."""

    text: str
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class _Branch:
    """An `if`, `with` or `range`, with its bodies."""

    keyword: str
    action: _Action
    body: Sequence[_Node]
    otherwise: Sequence[_Node]


_Node = str | _Action | _Branch


class _LoopEnd(Exception):  # noqa: N818 - no error
    """A `break` or `continue`."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """What `.`, `.Field` and `$variable` mean; blocks have scopes of their own."""

    fields: Mapping[str, str]
    # None is the data itself, whose fields are `fields`.
    dot: Value | None = None
    in_data: bool = True
    variables: Mapping[str, list[Value | None]] = field(default_factory=dict)
    rounds: list[int] = field(default_factory=list)

    def inner(self) -> _Scope:
        """Return the scope of a block: it sees all variables, and its own end with it."""
        return replace(self, variables=dict(self.variables))

    def with_dot(self, dot: Value | None) -> _Scope:
        """Return the scope of a `with` or `range`."""
        return replace(self.inner(), dot=dot, in_data=False)

    def declare(self, name: str, value: Value | None) -> None:
        """Add a variable."""
        self.variables[name] = [value]  # type: ignore[index]


def expand(template: str, fields: Mapping[str, str]) -> str:
    """Return the template with its actions expanded."""
    try:
        return "".join(_run(_Parser(template).parse(), _Scope(fields)))
    except _LoopEnd as error:
        raise TemplateError(f"{{{{{error}}}}} outside of a range") from None
    except RecursionError as error:
        raise TemplateError("too many nested blocks") from error


def unknown_fields(template: str, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the missing fields that the template uses, such as `.Nope`."""
    found = dict.fromkeys(
        token.text
        for _, action in split_actions(template)
        if action is not None
        for token in tokenize(action)
        if token.kind == "field" and token.text[1:] not in fields
    )
    return tuple(found)


class _Parser:
    """Reads a template into nodes."""

    def __init__(self, template: str) -> None:
        self._items = list(split_actions(template))[::-1]

    def parse(self) -> list[_Node]:
        """Return the nodes of the whole template."""
        nodes, end = self._body()
        if end is not None:
            raise TemplateError(f"unexpected {{{{{end.text.strip()}}}}}")
        return nodes

    def _body(self) -> tuple[list[_Node], _Action | None]:
        """Return the nodes up to an `else` or `end`, and that action."""
        nodes: list[_Node] = []
        while self._items:
            text, inner = self._items.pop()
            if inner is None:
                nodes.append(text)
                continue
            action = _Action(inner, tuple(tokenize(inner)))
            keyword = _keyword(action)
            for token in action.tokens:
                if token.kind == "word" and token.text not in _WORDS:
                    raise TemplateError(_unknown_function_message(token.text))
            if keyword in ("else", "end"):
                return nodes, action
            nodes.append(self._branch(keyword, action) if keyword in _BRANCHES else action)
        return nodes, None

    def _branch(self, keyword: str, action: _Action) -> _Branch:
        body, end = self._body()
        otherwise: list[_Node] = []
        if end is not None and _keyword(end) == "else":
            rest = end.tokens[1:]
            if rest:  # {{else if X}}: the `end` is that of the inner one
                inner = rest[0].text
                if inner not in ("if", "with") or keyword == "range":
                    raise TemplateError(f"unexpected {{{{{end.text.strip()}}}}}")
                otherwise, end = [self._branch(inner, _Action(end.text, rest))], None
            else:
                otherwise, end = self._body()
            if end is None and rest:
                return _Branch(keyword, _without_keyword(action), body, otherwise)
        if end is None or _keyword(end) != "end" or len(end.tokens) > 1:
            raise TemplateError(f"{{{{{action.text.strip()}}}}} without {{{{end}}}}")
        return _Branch(keyword, _without_keyword(action), body, otherwise)


def _keyword(action: _Action) -> str:
    token = action.tokens[0] if action.tokens else None
    return token.text if token and token.kind == "word" and token.text in _CONTROL else ""


def _without_keyword(action: _Action) -> _Action:
    return _Action(action.text, action.tokens[1:])


def _run(nodes: Sequence[_Node], scope: _Scope) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, _Branch):
            yield from _run_branch(node, scope.inner())
        elif _keyword(node) in ("break", "continue"):
            raise _LoopEnd(_keyword(node))
        else:
            pipeline = _Pipeline(node, scope)
            value = pipeline.value()
            if not pipeline.names:
                yield format_value(value)


def _run_branch(branch: _Branch, scope: _Scope) -> Iterator[str]:
    pipeline = _Pipeline(branch.action, scope)
    value = pipeline.value()
    if branch.keyword == "range":
        yield from _run_range(branch, value, pipeline.names, scope)
    elif is_true(value):
        yield from _run(branch.body, scope.with_dot(value) if branch.keyword == "with" else scope)
    else:
        yield from _run(branch.otherwise, scope)


def _run_range(
    branch: _Branch, value: Value | None, names: Sequence[str], scope: _Scope
) -> Iterator[str]:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise TemplateError(f"range cannot iterate over {format_value(value)!r}, only over numbers")
    if not value or value < 0:
        yield from _run(branch.otherwise, scope)
        return
    if len(names) > 1:
        raise TemplateError("range over a number has one variable")
    for number in range(value):
        scope.rounds.append(number)
        if len(scope.rounds) > _MAX_ROUNDS:
            raise TemplateError(f"range: more than {_MAX_ROUNDS} rounds")
        inner = scope.with_dot(number)
        for name in names:
            inner.declare(name, number)
        done: list[str] = []
        ended = ""
        try:
            for text in _run(branch.body, inner):
                done.append(text)  # noqa: PERF402 - what precedes a `break` counts
        except _LoopEnd as error:
            ended = str(error)
        yield from done
        if ended == "break":
            return


class _Pipeline:
    """Evaluates one action."""

    def __init__(self, action: _Action, scope: _Scope) -> None:
        self.action = action.text.strip()
        self.scope = scope
        self._tokens = list(action.tokens)
        # The variables that the action sets.
        self.names: tuple[str, ...] = ()

    def value(self) -> Value | None:
        """Return the value of the action."""
        if not self._tokens:
            raise TemplateError(f"missing value in {{{{{self.action}}}}}")
        assigned = self._assignment()
        value = self._pipeline()
        if self._tokens:
            raise TemplateError(f"unexpected {self._tokens[0].text} in {{{{{self.action}}}}}")
        if assigned == ":=":
            for name in self.names:
                self.scope.declare(name, value)
        elif assigned:
            for name in self.names:
                self._cell(name)[0] = value
        return value

    def _assignment(self) -> str:
        """Read `$x :=`, `$x =` or `$i, $x :=`; return the mark."""
        texts = [token.text for token in self._tokens]
        for count in (1, 2):
            head, mark = self._tokens[: 2 * count - 1], texts[2 * count - 1 : 2 * count]
            commas = texts[1 : 2 * count - 2 : 2]
            if mark in ([":="], ["="]) and commas == [","] * (count - 1):
                names = head[::2]
                if all(t.kind == "variable" and "." not in t.text for t in names):
                    self.names = tuple(token.text for token in names)
                    del self._tokens[: 2 * count]
                    return mark[0]
        return ""

    def _cell(self, name: str) -> list[Value | None]:
        if name not in self.scope.variables:
            raise TemplateError(f"undefined variable {name}")
        return self.scope.variables[name]

    def _pipeline(self) -> Value | None:
        value = self._command(None)
        while self._tokens and self._tokens[0].text == "|":
            self._tokens.pop(0)
            if value is None:
                raise TemplateError(f"missing value before | in {{{{{self.action}}}}}")
            value = self._command(value)
        return value

    def _command(self, passed: Value | None) -> Value | None:
        if not self._tokens or self._tokens[0].text in ("|", ")"):
            raise TemplateError(f"missing operand in {{{{{self.action}}}}}")
        head = self._tokens[0]
        name = head.text if head.kind == "word" and head.text not in ("true", "false") else ""
        if name:
            self._tokens.pop(0)
            if name not in FUNCTIONS and name not in LOGIC:
                raise TemplateError(_unknown_function_message(name))
        operands: list[Value | None] = []
        while self._tokens and self._tokens[0].text not in ("|", ")"):
            operands.append(self._operand())
        if passed is not None:
            operands.append(passed)
        if not name:
            if len(operands) != 1:
                raise TemplateError(f"{head.text} takes no arguments in {{{{{self.action}}}}}")
            return operands[0]
        if name in LOGIC:
            return LOGIC[name](operands)
        arguments = []
        for operand in operands:
            if operand is None:
                known = ", ".join(f".{field}" for field in self.scope.fields)
                raise TemplateError(f"unknown field in an argument of {name}; known: {known}")
            arguments.append(operand)
        return FUNCTIONS[name](arguments)

    def _operand(self) -> Value | None:
        token = self._tokens.pop(0)
        match token.kind:
            case "field":
                return self._field(token.text)
            case "dot":
                return self._whole(self.scope.in_data, self.scope.dot)
            case "variable":
                return self._variable(token.text)
            case "string":
                return unquote(token.text[1:-1])
            case "raw":
                return token.text[1:-1].replace("\r", "")
            case "number":
                return parse_number(token.text)
            case "word" if token.text in ("true", "false"):
                return token.text == "true"
            case "mark" if token.text == "(":
                value = self._pipeline()
                if not self._tokens or self._tokens.pop(0).text != ")":
                    raise TemplateError(f"missing ) in {{{{{self.action}}}}}")
                return value
        raise TemplateError(_unknown_function_message(token.text))

    def _field(self, text: str) -> Value | None:
        if not self.scope.in_data:
            raise TemplateError(f"{text} inside of with or range: write ${text}")
        return self.scope.fields.get(text[1:])

    def _variable(self, text: str) -> Value | None:
        name, _, member = text.partition(".")
        if name == "$":
            found = self.scope.fields.get(member)
            return found if member else self._whole(True, None)
        value = self._cell(name)[0]
        if member:
            raise TemplateError(f"{name} has no field .{member}")
        return value

    def _whole(self, in_data: bool, dot: Value | None) -> Value | None:  # noqa: FBT001
        if in_data:
            raise TemplateError(f"{{{{{self.action}}}}} is all fields: name one, as .Hash")
        return dot


def _unknown_function_message(name: str) -> str:
    known = ", ".join(sorted((*FUNCTIONS, *LOGIC)))
    if name in _UNSUPPORTED:
        return f"{name!r} is not supported in a tag; supported: {known}"
    return f"unknown function {name!r}; supported: {known}"
