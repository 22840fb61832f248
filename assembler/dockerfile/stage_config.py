"""The image config of a stage, and the instructions that change it alone: ENV, LABEL, CMD."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.dockerfile.stages import argument_pairs, expand_word, split_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Instruction

DEFAULT_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_MAX_PORT = 65535


@dataclass(slots=True)
class StageConfig:
    """The image config of a stage, as the instructions so far have set it."""

    plan: DockerfilePlan
    values: dict[str, Any]
    author: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    has_command: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables of the image."""
        pairs = (text.partition("=") for text in self.values.get("Env") or [])
        return {name: value for name, _, value in pairs}

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables that words may use; the environment overrides build arguments."""
        return self.arguments | self.environment

    @property
    def workdir(self) -> str:
        """Return the working directory, which relative paths start from."""
        return str(self.values.get("WorkingDir") or "/")

    def expand(self, instruction: Instruction, word: str) -> str:
        """Return a word with its variables expanded."""
        return expand_word(instruction, word, self.variables, self.plan.dockerfile.escape)

    def apply(self, instruction: Instruction) -> None:
        """Apply an instruction that changes the config alone."""
        _HANDLERS[instruction.keyword](self, instruction)

    def argument(self, instruction: Instruction) -> None:
        escape = self.plan.dockerfile.escape
        arguments = self.plan.arguments
        for name, default in argument_pairs(instruction, self.variables, escape):
            value = arguments.given.get(name, arguments.platform_arguments.get(name))
            if value is None:
                value = default if default is not None else self.plan.defaults.get(name)
            if value is not None:
                self.arguments[name] = value

    def env(self, instruction: Instruction) -> None:
        self._set_env(self._pairs(instruction))

    def _set_env(self, pairs: Mapping[str, str]) -> None:
        merged = self.environment | dict(pairs)
        self.values["Env"] = [f"{name}={value}" for name, value in merged.items()]

    def label(self, instruction: Instruction) -> None:
        self.values["Labels"] = {**(self.values.get("Labels") or {}), **self._pairs(instruction)}

    def _pairs(self, instruction: Instruction) -> dict[str, str]:
        words = split_words(instruction, self.plan.dockerfile.escape)
        if "=" not in words[0]:
            name, *rest = instruction.text.split(None, 1)
            if not rest:
                raise instruction.error(
                    f"{instruction.keyword} {name} has no value", f"write {name}=VALUE", word=name
                )
            return {self.expand(instruction, name): self.expand(instruction, rest[0])}
        found = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or not name:
                raise instruction.error(
                    f"{word!r} is not NAME=VALUE", "quote a value that has spaces", word=word
                )
            found[self.expand(instruction, name)] = self.expand(instruction, value)
        return found

    def work_directory(self, instruction: Instruction) -> None:
        path = self.expand(instruction, instruction.text)
        if not path:
            raise instruction.error("the path of WORKDIR is empty")
        self.values["WorkingDir"] = posixpath.normpath(posixpath.join(self.workdir, path))

    def user(self, instruction: Instruction) -> None:
        self.values["User"] = self.expand(instruction, instruction.text)

    def stop_signal(self, instruction: Instruction) -> None:
        self.values["StopSignal"] = self.expand(instruction, instruction.text)

    def maintainer(self, instruction: Instruction) -> None:
        self.author = instruction.text

    def shell(self, instruction: Instruction) -> None:
        if not instruction.json_words:
            raise instruction.error("SHELL needs a JSON list", 'write SHELL ["/bin/sh", "-c"]')
        self.values["Shell"] = list(instruction.json_words)

    def expose(self, instruction: Instruction) -> None:
        ports = dict(self.values.get("ExposedPorts") or {})
        for word in instruction.text.split():
            for text in self.expand(instruction, word).split():
                match = _PORT.fullmatch(text)
                first = int(match[1]) if match else 0
                last = int(match[2] or first) if match else -1
                if not match or not 0 < first <= last <= _MAX_PORT:
                    raise instruction.error(
                        f"invalid port {text!r}", "write 80, 53/udp or 8000-8010", word=word
                    )
                kind = (match[3] or "tcp").lower()
                ports |= {f"{number}/{kind}": {} for number in range(first, last + 1)}
        self.values["ExposedPorts"] = ports

    def volume(self, instruction: Instruction) -> None:
        names = [self.expand(instruction, word) for word in instruction.words]
        if not all(names):
            raise instruction.error("the name of a volume is empty")
        volumes = self.values.get("Volumes") or {}
        self.values["Volumes"] = {**volumes, **{name: {} for name in names}}

    def command(self, instruction: Instruction) -> None:
        self.values["Cmd"] = self._words(instruction)
        self.has_command = True

    def entrypoint(self, instruction: Instruction) -> None:
        self.values["Entrypoint"] = self._words(instruction)
        if not self.has_command:
            # CMD of the base image holds arguments of its own ENTRYPOINT.
            self.values.pop("Cmd", None)

    def _words(self, instruction: Instruction) -> list[str]:
        if instruction.json_words is not None:
            return list(instruction.json_words)
        if not instruction.text:
            return []
        return [*(self.values.get("Shell") or DEFAULT_SHELL), instruction.text]


_HANDLERS: Mapping[str, Callable[[StageConfig, Instruction], None]] = {
    "ARG": StageConfig.argument,
    "CMD": StageConfig.command,
    "ENTRYPOINT": StageConfig.entrypoint,
    "ENV": StageConfig.env,
    "EXPOSE": StageConfig.expose,
    "LABEL": StageConfig.label,
    "MAINTAINER": StageConfig.maintainer,
    "SHELL": StageConfig.shell,
    "STOPSIGNAL": StageConfig.stop_signal,
    "USER": StageConfig.user,
    "VOLUME": StageConfig.volume,
    "WORKDIR": StageConfig.work_directory,
}
# The instructions that change the config alone.
CONFIG_KEYWORDS = frozenset(_HANDLERS)
