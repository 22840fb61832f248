"""Texts in the Dockerfile itself (<<EOF): what COPY takes of them, and RUN said without them."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.dockerfile.bases import config_of
from assembler.dockerfile.settings import APPLIED, DEFAULT_SHELL, Config
from assembler.dockerfile.stages import SCRATCH
from assembler.dockerfile.syntax import HEREDOC
from assembler.dockerfile.trees import Contents, Node
from assembler.dockerfile.words import expand_text

if TYPE_CHECKING:
    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.stages import Plan
    from assembler.dockerfile.syntax import Instruction
    from assembler.oci import Store

# What a builder calls the directory with the texts that COPY takes.
CONTEXT = "dolmen-texts"


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of an instruction as files to copy, each called what ends it."""

    files: Mapping[str, bytes]
    time: int
    rooted: bool = True

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Return the files."""
        return {n: Node(size=len(data), mtime=self.time) for n, data in self.files.items()}

    @contextmanager
    def contents(self, paths: Collection[str]) -> Iterator[Contents]:
        """Give the contents."""
        _ = paths
        yield lambda path: iter((self.files[path],))


def is_text(word: str) -> bool:
    """Tell whether a word stands for a text that follows."""
    return HEREDOC.fullmatch(word) is not None


def texts_of(instruction: Instruction, config: Config, time: int) -> Texts:
    """Return the texts of a COPY, with variables put into those whose end is not quoted."""
    return Texts(
        {
            text.name: (
                text.content if text.quoted else expand_text(text.content, config.variables)
            ).encode()
            for text in instruction.heredocs
        },
        time,
    )


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a builder that knows no texts is given in their place."""

    # Instructions by the line that they begin at.
    lines: Mapping[int, str] = field(default_factory=dict)
    # Files by their paths in the directory with texts.
    files: Mapping[str, bytes] = field(default_factory=dict)


def replaced(store: Store, plan: Plan, ingredients: BuildInputs) -> Replaced:
    """Say every instruction that has texts without them."""
    lines: dict[int, str] = {}
    files: dict[str, bytes] = {}
    for instruction, config in _with_texts(store, plan, ingredients):
        if instruction.keyword == "RUN":
            lines[instruction.line] = _as_list(instruction, config)
            continue
        words = instruction.text.split()
        others = [w for w in words[:-1] if not is_text(w)]
        if others or "from" in instruction.flags:
            raise instruction.wrong(
                f"{instruction.keyword} takes a text and other files at once, which buildah cannot",
                f"write two instructions, one for {others[0] if others else 'the text'}",
                word=others[0] if others else "--from",
            )
        found = texts_of(instruction, config, ingredients.time).files
        files |= {f"{instruction.line}/{name}": data for name, data in found.items()}
        sources = " ".join(f"{instruction.line}/{name}" for name in found)
        flags = _flags(instruction)
        lines[instruction.line] = f"COPY {flags}--from={CONTEXT} {sources} {words[-1]}"
    return Replaced(lines, files)


def _with_texts(
    store: Store, plan: Plan, ingredients: BuildInputs
) -> Iterator[tuple[Instruction, Config]]:
    """Yield the instructions that have texts, with what ENV, ARG and SHELL have said before."""
    if not any(i.heredocs for stage in plan.needed() for i in stage.instructions):
        return
    ended: dict[int, Config] = {}
    for stage in plan.needed():
        below = plan.stage(stage.base, stage.number)
        if below is not None:
            inner = ended[below.number].inner
        elif stage.base.lower() == SCRATCH:
            inner = {}
        else:
            image = ingredients.bases.get(stage.base, stage.platform)
            inner = config_of(store, image).get("config") or {}
        config = ended[stage.number] = Config(plan, copy.deepcopy(inner))
        for instruction in stage.instructions:
            if instruction.heredocs:
                yield instruction, config
            if instruction.keyword in APPLIED:
                config.apply(instruction)


def _as_list(instruction: Instruction, config: Config) -> str:
    """Return a RUN as a list of words: its text is what the shell is given."""
    first = instruction.heredocs[0]
    if is_text(instruction.text):
        if first.content.startswith("#!"):
            raise instruction.wrong(
                "a text with an interpreter of its own (#!) is not run by buildah",
                f"name the interpreter before it, as in RUN python3 <<{first.name}",
                word="<<",
            )
        script = first.content
    else:
        script = instruction.text
        for text in instruction.heredocs:
            script += f"\n{text.content}{text.name}"
        script += "\n"
    shell = config.inner.get("Shell") or DEFAULT_SHELL
    return f"RUN {_flags(instruction)}{json.dumps([*shell, script])}"


def _flags(instruction: Instruction) -> str:
    pairs = ((k, v) for k, values in instruction.flags.items() for v in values.split("\n"))
    return "".join(f"--{name}={value} " for name, value in pairs)
