"""Kconfig files, read as far as the reasons for an option's value are in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CONFIG = re.compile(r"(?:menu)?config\s+(?P<name>\w+)")
_SOURCE = re.compile(r"(?P<how>o?r?source)\s+\"(?P<path>[^\"]+)\"")
_TYPE = re.compile(r"(?:bool|tristate|string|int|hex)\b\s*(?P<prompt>[\"'].*)?")
_SELECT = re.compile(r"(?:select|imply)\s+(?P<name>\w+)")
_DEPENDS = re.compile(r"depends\s+on\s+(?P<condition>.*)")
_PROMPT_CONDITION = re.compile(r"[\"']\s+if\s+(?P<condition>.*)$")
_COMMENT = re.compile(r"\s+#.*")
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Definition:
    """A place where an option is defined."""

    # All have to hold, in the order of the blocks around the definition.
    depends: tuple[str, ...]
    # Whether users may set it, and the condition.
    prompt: bool = False
    prompt_condition: str = ""
    # The number of the choice it is in; 0 if it is in none.
    choice: int = 0


@dataclass(slots=True)
class KconfigTree:
    """The options of a kernel's source."""

    definitions: dict[str, list[Definition]] = field(default_factory=dict)
    # By option: those that turn it on.
    selected_by: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Block:
    """A block that is open: `if`, `menu`, `choice`, or an option."""

    kind: str
    depends: list[str] = field(default_factory=list)
    choice: int = 0


@dataclass(slots=True)
class _Option:
    name: str
    depends: list[str] = field(default_factory=list)
    prompt: bool = False
    prompt_condition: str = ""


@dataclass(slots=True)
class _Reader:
    read: Callable[[str], str | None]
    architecture: str
    tree: KconfigTree = field(default_factory=KconfigTree)
    blocks: list[_Block] = field(default_factory=list)
    option: _Option | None = None
    choices: int = 0

    def read_file(self, path: str, depth: int = 0) -> None:
        text = self.read(path)
        if text is None or depth > _MAX_DEPTH:
            return
        for line in _statements(text):
            source = _SOURCE.fullmatch(line)
            if source:
                self._end_option()
                inner = source["path"]
                for name in ("SRCARCH", "ARCH"):
                    inner = inner.replace(f"$({name})", self.architecture)
                if "rsource" in source["how"]:
                    inner = f"{path.rpartition('/')[0]}/{inner}"
                self.read_file(inner, depth + 1)
            else:
                self._read_statement(line)
        self._end_option()

    def _read_statement(self, line: str) -> None:
        word = line.split(maxsplit=1)[0]
        config = _CONFIG.fullmatch(line)
        if config:
            self._end_option()
            self.option = _Option(config["name"])
        elif word in ("if", "menu", "choice", "comment", "mainmenu"):
            self._end_option()
            if word in ("if", "menu", "choice"):
                self.choices += word == "choice"
                depends = [line.removeprefix("if").strip()] if word == "if" else []
                choice = self.choices if word == "choice" else 0
                self.blocks.append(_Block(word, depends, choice))
            else:
                self.option = _Option("")
        elif word in ("endif", "endmenu", "endchoice"):
            self._end_option()
            if self.blocks:
                self.blocks.pop()
        else:
            self._read_attribute(line)

    def _read_attribute(self, line: str) -> None:
        depends, select = _DEPENDS.fullmatch(line), _SELECT.match(line)
        if depends:
            if self.option is not None:
                self.option.depends.append(depends["condition"])
            elif self.blocks:
                self.blocks[-1].depends.append(depends["condition"])
        elif self.option is None:
            return
        elif select:
            self.tree.selected_by.setdefault(select["name"], []).append(self.option.name)
        else:
            kind = _TYPE.fullmatch(line)
            prompt = kind["prompt"] if kind else line if line.startswith("prompt ") else None
            if prompt:
                condition = _PROMPT_CONDITION.search(prompt)
                self.option.prompt = True
                self.option.prompt_condition = condition["condition"] if condition else ""

    def _end_option(self) -> None:
        option, self.option = self.option, None
        if option is None or not option.name:
            return
        around = [condition for block in self.blocks for condition in block.depends]
        choice = next((b.choice for b in reversed(self.blocks) if b.choice), 0)
        self.tree.definitions.setdefault(option.name, []).append(
            Definition(
                tuple(dict.fromkeys([*around, *option.depends])),
                option.prompt,
                option.prompt_condition,
                choice,
            )
        )


def read_kconfig(read: Callable[[str], str | None], architecture: str) -> KconfigTree:
    """Return the options of a source; `read` returns a file of it, or None if it is missing."""
    reader = _Reader(read, architecture)
    reader.read_file("Kconfig")
    return reader.tree


def _statements(text: str) -> Iterator[str]:
    """Yield the statements without help texts and comments, continued lines joined."""
    help_indent: int | None = None
    in_help = False
    pending = ""
    for raw in text.expandtabs(8).splitlines():
        stripped = raw.strip()
        indent = len(raw) - len(raw.lstrip())
        if in_help:
            if not stripped:
                continue
            if help_indent is None:
                help_indent = indent
            if indent >= help_indent > 0:
                continue
            in_help = False
        line = pending + stripped
        if line.endswith("\\"):
            pending = line[:-1] + " "
            continue
        pending = ""
        if not line or line.startswith("#"):
            continue
        if line in ("help", "---help---"):
            in_help, help_indent = True, None
            continue
        yield _COMMENT.sub("", line) if '"' not in line else line
