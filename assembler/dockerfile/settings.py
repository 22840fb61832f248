"""What instructions say of an image's config: ENV, LABEL, CMD and their like."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.dockerfile.stages import argument_pairs, expanded, words_of

if TYPE_CHECKING:
    from assembler.dockerfile.stages import Plan
    from assembler.dockerfile.syntax import Instruction

DEFAULT_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_HIGHEST_PORT = 65535


@dataclass(slots=True)
class Config:
    """The config of a stage as far as its instructions have been read."""

    plan: Plan
    inner: dict[str, Any]
    author: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    has_command: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of the image."""
        pairs = (text.partition("=") for text in self.inner.get("Env") or [])
        return {name: value for name, _, value in pairs}

    @property
    def variables(self) -> dict[str, str]:
        """Return what can be put into words: the environment before build arguments."""
        return self.arguments | self.environment

    @property
    def workdir(self) -> str:
        """Return the directory that relative paths begin at."""
        return str(self.inner.get("WorkingDir") or "/")

    def expand(self, instruction: Instruction, word: str) -> str:
        """Return a word with variables put in."""
        return expanded(instruction, word, self.variables, self.plan.dockerfile.escape)

    def apply(self, instruction: Instruction) -> None:
        """Take in an instruction that changes no files."""
        _HANDLERS[instruction.keyword](self, instruction)

    def argument(self, instruction: Instruction) -> None:
        escape = self.plan.dockerfile.escape
        known = self.plan.arguments
        for name, default in argument_pairs(instruction, self.variables, escape):
            value = known.given.get(name, known.platforms.get(name))
            if value is None:
                value = default if default is not None else self.plan.defaults.get(name)
            if value is not None:
                self.arguments[name] = value

    def environment_of(self, instruction: Instruction) -> None:
        self._set_env(self._pairs(instruction))

    def _set_env(self, pairs: Mapping[str, str]) -> None:
        merged = self.environment | dict(pairs)
        self.inner["Env"] = [f"{name}={value}" for name, value in merged.items()]

    def label(self, instruction: Instruction) -> None:
        self.inner["Labels"] = {**(self.inner.get("Labels") or {}), **self._pairs(instruction)}

    def _pairs(self, instruction: Instruction) -> dict[str, str]:
        words = words_of(instruction, self.plan.dockerfile.escape)
        if "=" not in words[0]:
            name, *rest = instruction.text.split(None, 1)
            if not rest:
                raise instruction.wrong(
                    f"{instruction.keyword} {name} has no value", f"write {name}=VALUE", word=name
                )
            return {self.expand(instruction, name): self.expand(instruction, rest[0])}
        found = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or not name:
                raise instruction.wrong(
                    f"{word!r} is not NAME=VALUE", "put a value with spaces into quotes", word=word
                )
            found[self.expand(instruction, name)] = self.expand(instruction, value)
        return found

    def work_directory(self, instruction: Instruction) -> None:
        given = self.expand(instruction, instruction.text)
        if not given:
            raise instruction.wrong("WORKDIR comes to nothing")
        self.inner["WorkingDir"] = posixpath.normpath(posixpath.join(self.workdir, given))

    def user(self, instruction: Instruction) -> None:
        self.inner["User"] = self.expand(instruction, instruction.text)

    def stop_signal(self, instruction: Instruction) -> None:
        self.inner["StopSignal"] = self.expand(instruction, instruction.text)

    def maintainer(self, instruction: Instruction) -> None:
        self.author = instruction.text

    def shell(self, instruction: Instruction) -> None:
        if not instruction.listed:
            raise instruction.wrong("SHELL is a list", 'write it as SHELL ["/bin/sh", "-c"]')
        self.inner["Shell"] = list(instruction.listed)

    def expose(self, instruction: Instruction) -> None:
        ports = dict(self.inner.get("ExposedPorts") or {})
        for word in instruction.text.split():
            for text in self.expand(instruction, word).split():
                match = _PORT.fullmatch(text)
                first = int(match[1]) if match else 0
                last = int(match[2] or first) if match else -1
                if not match or not 0 < first <= last <= _HIGHEST_PORT:
                    raise instruction.wrong(
                        f"not a port: {text!r}", "write 80, 53/udp or 8000-8010", word=word
                    )
                kind = (match[3] or "tcp").lower()
                ports |= {f"{number}/{kind}": {} for number in range(first, last + 1)}
        self.inner["ExposedPorts"] = ports

    def volume(self, instruction: Instruction) -> None:
        names = [self.expand(instruction, word) for word in instruction.words]
        if not all(names):
            raise instruction.wrong("the name of a volume is empty")
        there = self.inner.get("Volumes") or {}
        self.inner["Volumes"] = {**there, **{name: {} for name in names}}

    def command(self, instruction: Instruction) -> None:
        self.inner["Cmd"] = self._words(instruction)
        self.has_command = True

    def entrypoint(self, instruction: Instruction) -> None:
        self.inner["Entrypoint"] = self._words(instruction)
        if not self.has_command:
            # What the base would have been started with makes no sense to another program.
            self.inner.pop("Cmd", None)

    def _words(self, instruction: Instruction) -> list[str]:
        if instruction.listed is not None:
            return list(instruction.listed)
        if not instruction.text:
            return []
        return [*(self.inner.get("Shell") or DEFAULT_SHELL), instruction.text]


_HANDLERS: Mapping[str, Callable[[Config, Instruction], None]] = {
    "ARG": Config.argument,
    "CMD": Config.command,
    "ENTRYPOINT": Config.entrypoint,
    "ENV": Config.environment_of,
    "EXPOSE": Config.expose,
    "LABEL": Config.label,
    "MAINTAINER": Config.maintainer,
    "SHELL": Config.shell,
    "STOPSIGNAL": Config.stop_signal,
    "USER": Config.user,
    "VOLUME": Config.volume,
    "WORKDIR": Config.work_directory,
}
# The instructions that change the config alone.
APPLIED = frozenset(_HANDLERS)
