"""Texts in the Dockerfile itself (<<EOF): what COPY takes of them, and RUN said without them."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.dockerfile.base_images import read_image_config
from assembler.dockerfile.file_tree import Contents, FileNode
from assembler.dockerfile.stage_config import CONFIG_KEYWORDS, DEFAULT_SHELL, StageConfig
from assembler.dockerfile.stages import SCRATCH
from assembler.dockerfile.syntax import HEREDOC
from assembler.dockerfile.words import expand_text

if TYPE_CHECKING:
    from assembler.dockerfile.build_inputs import BuildInputs
    from assembler.dockerfile.stages import DockerfilePlan
    from assembler.dockerfile.syntax import Instruction
    from assembler.oci import Store

# What a builder calls the directory with the texts that COPY takes.
HEREDOC_CONTEXT = "dolmen-texts"


@dataclass(frozen=True, slots=True)
class HeredocFiles:
    """The texts of an instruction as files to copy, each called what ends it."""

    files: Mapping[str, bytes]
    time: int
    rooted: bool = True

    @property
    def nodes(self) -> Mapping[str, FileNode]:
        """Return the files."""
        return {n: FileNode(size=len(data), mtime=self.time) for n, data in self.files.items()}

    @contextmanager
    def contents(self, paths: Collection[str]) -> Iterator[Contents]:
        """Give the contents."""
        _ = paths
        yield lambda path: iter((self.files[path],))


def is_heredoc(word: str) -> bool:
    """Tell whether a word stands for a text that follows."""
    return HEREDOC.fullmatch(word) is not None


def heredoc_files(instruction: Instruction, config: StageConfig, time: int) -> HeredocFiles:
    """Return the texts of a COPY, with variables put into those whose end is not quoted."""
    return HeredocFiles(
        {
            text.name: (
                text.content if text.quoted else expand_text(text.content, config.variables)
            ).encode()
            for text in instruction.heredocs
        },
        time,
    )


@dataclass(frozen=True, slots=True)
class HeredocReplacements:
    """What a builder that knows no texts is given in their place."""

    # Instructions by the line that they begin at.
    lines: Mapping[int, str] = field(default_factory=dict)
    # Files by their paths in the directory with texts.
    files: Mapping[str, bytes] = field(default_factory=dict)


def replace_heredocs(
    store: Store, plan: DockerfilePlan, inputs: BuildInputs
) -> HeredocReplacements:
    """Say every instruction that has texts without them."""
    lines: dict[int, str] = {}
    files: dict[str, bytes] = {}
    for instruction, config in _heredoc_instructions(store, plan, inputs):
        if instruction.keyword == "RUN":
            lines[instruction.line] = _run_as_list(instruction, config)
            continue
        words = instruction.text.split()
        others = [w for w in words[:-1] if not is_heredoc(w)]
        if others or "from" in instruction.flags:
            raise instruction.error(
                f"{instruction.keyword} takes a text and other files at once, which buildah cannot",
                f"write two instructions, one for {others[0] if others else 'the text'}",
                word=others[0] if others else "--from",
            )
        found = heredoc_files(instruction, config, inputs.time).files
        files |= {f"{instruction.line}/{name}": data for name, data in found.items()}
        sources = " ".join(f"{instruction.line}/{name}" for name in found)
        flags = _format_flags(instruction)
        lines[instruction.line] = f"COPY {flags}--from={HEREDOC_CONTEXT} {sources} {words[-1]}"
    return HeredocReplacements(lines, files)


def _heredoc_instructions(
    store: Store, plan: DockerfilePlan, inputs: BuildInputs
) -> Iterator[tuple[Instruction, StageConfig]]:
    """Yield the instructions that have texts, with what ENV, ARG and SHELL have said before."""
    if not any(i.heredocs for stage in plan.needed_stages() for i in stage.instructions):
        return
    ended: dict[int, StageConfig] = {}
    for stage in plan.needed_stages():
        below = plan.find_stage(stage.base, stage.number)
        if below is not None:
            inner = ended[below.number].values
        elif stage.base.lower() == SCRATCH:
            inner = {}
        else:
            image = inputs.base_images.get(stage.base, stage.platform)
            inner = read_image_config(store, image).get("config") or {}
        config = ended[stage.number] = StageConfig(plan, copy.deepcopy(inner))
        for instruction in stage.instructions:
            if instruction.heredocs:
                yield instruction, config
            if instruction.keyword in CONFIG_KEYWORDS:
                config.apply(instruction)


def _run_as_list(instruction: Instruction, config: StageConfig) -> str:
    """Return a RUN as a list of words: its text is what the shell is given."""
    first = instruction.heredocs[0]
    if is_heredoc(instruction.text):
        if first.content.startswith("#!"):
            raise instruction.error(
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
    shell = config.values.get("Shell") or DEFAULT_SHELL
    return f"RUN {_format_flags(instruction)}{json.dumps([*shell, script])}"


def _format_flags(instruction: Instruction) -> str:
    pairs = ((k, v) for k, values in instruction.flags.items() for v in values.split("\n"))
    return "".join(f"--{name}={value} " for name, value in pairs)
