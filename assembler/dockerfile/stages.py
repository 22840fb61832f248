"""The plan of a Dockerfile: its stages, their base images, and what needs a builder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.dockerfile.words import WordError, expand, split_quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.dockerfile.syntax import Dockerfile, Instruction
    from assembler.oci import Platform

SCRATCH = "scratch"
_COMMA = re.compile(r"[,\n]")
# Build arguments that need no ARG and are not recorded in the image.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
_IN_PROCESS = frozenset(
    {
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "LABEL",
        "MAINTAINER",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    }
)


@dataclass(frozen=True, slots=True)
class DockerfileArguments:
    """The build arguments: those given, and those of the platforms."""

    given: Mapping[str, str]
    build: Platform
    target: Platform

    @property
    def platform_arguments(self) -> dict[str, str]:
        """Return the arguments that describe the build platform and the target platform."""
        found = {}
        for name, platform in (("BUILD", self.build), ("TARGET", self.target)):
            found[f"{name}PLATFORM"] = str(platform)
            found[f"{name}OS"] = platform.os
            found[f"{name}ARCH"] = platform.architecture
            found[f"{name}VARIANT"] = platform.variant
        return found


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: FROM and the instructions after it."""

    number: int
    name: str
    # The name or number of an earlier stage, or the name of an image.
    base: str
    # As FROM names it, with variables expanded; empty for the target platform.
    platform: str
    start: Instruction
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class DockerfilePlan:
    """A Dockerfile split into stages, for one target platform."""

    dockerfile: Dockerfile
    stages: tuple[Stage, ...]
    arguments: DockerfileArguments
    # The values of every ARG before the first FROM.
    defaults: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> Stage:
        """Return the stage that becomes the image."""
        return self.stages[-1]

    def find_stage(self, text: str, before: int) -> Stage | None:
        """Return the stage with a name or number, among the first `before` ones."""
        for stage in reversed(self.stages[:before]):
            if stage.name and stage.name == text.lower():
                return stage
        if text.isdigit() and int(text) < before:
            return self.stages[int(text)]
        return None

    def needed_stages(self) -> tuple[Stage, ...]:
        """Return the stages that the image depends on, in their order."""
        needed: dict[int, Stage] = {}
        left = [self.target]
        while left:
            stage = left.pop()
            if stage.number in needed:
                continue
            needed[stage.number] = stage
            names = [stage.base, *(name for _, name in self.file_sources(stage))]
            left += [s for s in (self.find_stage(n, stage.number) for n in names) if s]
        return tuple(needed[n] for n in sorted(needed))

    def file_sources(self, stage: Stage) -> Iterator[tuple[Instruction, str]]:
        """Yield the stages and images that instructions copy files from or mount."""
        for instruction in stage.instructions:
            if instruction.keyword in ("COPY", "ADD") and "from" in instruction.flags:
                yield instruction, instruction.flags["from"]
            if instruction.keyword == "RUN" and "mount" in instruction.flags:
                for part in _COMMA.split(instruction.flags["mount"]):
                    if part.startswith("from="):
                        yield instruction, part.removeprefix("from=")

    def images(self) -> dict[tuple[str, str], Instruction]:
        """Return the needed images by name and platform, each with its first instruction."""
        found: dict[tuple[str, str], Instruction] = {}
        for stage in self.needed_stages():
            if stage.base.lower() != SCRATCH and not self.find_stage(stage.base, stage.number):
                found.setdefault((stage.base, stage.platform), stage.start)
            for instruction, name in self.file_sources(stage):
                if not self.find_stage(name, stage.number):
                    found.setdefault((name, ""), instruction)
        return found

    def first_unsupported(self) -> Instruction | None:
        """Return the first needed instruction that is not supported in process, or None."""
        for stage in self.needed_stages():
            for instruction in stage.instructions:
                if instruction.keyword not in _IN_PROCESS or _has_remote_source(instruction):
                    return instruction
        return None

    def declared_arguments(self) -> frozenset[str]:
        """Return the names of all build arguments that needed stages declare."""
        instructions = (
            *self.dockerfile.instructions[: self._first_from()],
            *(i for stage in self.needed_stages() for i in stage.instructions),
        )
        found = {
            pair.partition("=")[0]
            for i in instructions
            if i.keyword == "ARG"
            for pair in split_quoted(i.text, self.dockerfile.escape)
        }
        return frozenset(found)

    def _first_from(self) -> int:
        return next(n for n, i in enumerate(self.dockerfile.instructions) if i.keyword == "FROM")


def plan_dockerfile(dockerfile: Dockerfile, arguments: DockerfileArguments) -> DockerfilePlan:
    """Split a Dockerfile into stages, and expand the variables of FROM."""
    defaults: dict[str, str] = {}
    groups: list[tuple[Instruction, list[Instruction]]] = []
    for instruction in dockerfile.instructions:
        if instruction.keyword == "FROM":
            groups.append((instruction, []))
        elif groups:
            groups[-1][1].append(instruction)
        elif instruction.keyword == "ARG":
            seen = {**arguments.platform_arguments, **defaults}
            for name, value in argument_pairs(instruction, seen, dockerfile.escape):
                defaults[name] = arguments.given.get(name, value or "")
        else:
            raise instruction.error(
                f"{instruction.keyword} comes before the first FROM",
                "begin with FROM; only ARG may come before it",
            )
    if not groups:
        raise dockerfile.instructions[-1].error("the Dockerfile has no FROM")
    variables = {**arguments.platform_arguments, **defaults}
    stages: list[Stage] = []
    for number, (start, instructions) in enumerate(groups):
        base, platform, name = _parse_from(start, variables, dockerfile.escape)
        if name and any(s.name == name for s in stages):
            raise start.error(f"duplicate stage name {name}", word=name)
        stages.append(Stage(number, name, base, platform, start, tuple(instructions)))
    plan = DockerfilePlan(dockerfile, tuple(stages), arguments, defaults)
    for stage in stages:
        for instruction, name in plan.file_sources(stage):
            if name.lower() == stage.name and stage.name:
                raise instruction.error(f"the stage {name} copies files from itself", word=name)
    return plan


def argument_pairs(
    instruction: Instruction, variables: Mapping[str, str], escape: str
) -> list[tuple[str, str | None]]:
    """Return the names and defaults of an ARG."""
    found: list[tuple[str, str | None]] = []
    seen = dict(variables)
    for word in split_words(instruction, escape):
        name, equals, value = word.partition("=")
        default = expand_word(instruction, value, seen, escape) if equals else None
        if default is not None:
            seen[name] = default
        found.append((name, default))
    return found


def split_words(instruction: Instruction, escape: str) -> list[str]:
    """Return the words of an instruction, with their quotes."""
    try:
        return split_quoted(instruction.text, escape)
    except WordError as error:
        raise instruction.error(str(error)) from error


def expand_word(
    instruction: Instruction, word: str, variables: Mapping[str, str], escape: str
) -> str:
    """Return a word with its variables expanded."""
    try:
        return expand(word, variables, escape)
    except WordError as error:
        raise instruction.error(str(error), word=word) from error


def _parse_from(
    start: Instruction, variables: Mapping[str, str], escape: str
) -> tuple[str, str, str]:
    unknown = sorted(start.flags.keys() - {"platform"})
    if unknown:
        raise start.error(f"FROM has no flag --{unknown[0]}", word=f"--{unknown[0]}")
    words = start.text.split()
    named = len(words) == 3 and words[1].upper() == "AS"
    if len(words) != 1 and not named:
        raise start.error("invalid FROM", "write FROM IMAGE, or FROM IMAGE AS NAME")
    base = expand_word(start, words[0], variables, escape)
    if not base:
        raise start.error(
            f"the image name {words[0]} is empty",
            "declare a variable of FROM with ARG before the first FROM",
            word=words[0],
        )
    platform = expand_word(start, start.flags.get("platform", ""), variables, escape)
    return base, platform, words[2].lower() if named else ""


def _has_remote_source(instruction: Instruction) -> bool:
    if instruction.keyword != "ADD":
        return False
    sources = instruction.words[:-1]
    return any(s.startswith(("http://", "https://", "git@", "git://", "ssh://")) for s in sources)
